import { type RawBuilder, sql } from 'kysely'
import { RowRejected } from '../../errors/entries.ts'
import type { Db } from '../database.ts'
import type { Query } from '../query/keyset-predicate.ts'
import type { Tx } from '../transaction.ts'
import { dialectOf } from './cells.ts'
import type { Match } from './predicates.ts'
import type { Cell, Cells, UserTable } from './user-table.ts'

// All identifiers go through sql.id, which quotes them as a whole: dots and quotes have no special meaning.

/** A row with generated column names: its key, then the columns in order as c0, c1, … */
export type RawRow = { key: number } & { [c: `c${number}`]: Cell }

/** Returns the values of a row by column name. */
export const cellsOf = ({ columns }: UserTable, row: RawRow): Cells =>
  Object.fromEntries(columns.map(({ name }, i) => [name, row[`c${i}`] ?? null]))

/** Returns a query for the matching rows; the caller sorts and limits it. */
export function rowsQuery(db: Db | Tx, table: UserTable, match: Match): Query<RawRow> {
  const from = sql`${sql.id(table.sqlName)}`.as(table.sqlName)
  const query = db.selectFrom(from as never).where(match as never)
  const rows = query.select(selected(db, table) as never) as unknown as Query<RawRow>
  return dialectOf(db)
    .cellPlugins(table)
    .reduce((reading, plugin) => reading.withPlugin(plugin), rows)
}

/**
 * Inserts a row and returns it. A row without a key gets the next free number. Throws RowRejected if the
 * database rejects the row.
 */
export async function insertRow(tx: Tx, table: UserTable, cells: Cells): Promise<RawRow> {
  const { ignoreKeyConflict, advanceSequence } = dialectOf(tx)
  const [row] = await insert(tx, table, [cells], { onConflict: ignoreKeyConflict(table) })
  if (row) return row
  if (!Object.hasOwn(cells, table.keyColumn)) await advanceSequence(tx, table)
  const [next] = await insert(tx, table, [cells])
  if (next) return next
  throw new RowRejected({ table: table.name, reason: 'the table inserted no row' })
}

/**
 * Inserts rows with their former keys and returns them; all must have the same columns in the same order.
 * Throws RowRejected.
 */
export const insertRows = (tx: Tx, table: UserTable, rows: readonly Cells[]): Promise<RawRow[]> =>
  insert(tx, table, rows, { keys: dialectOf(tx).explicitKeysClause })

type Clauses = { keys?: RawBuilder<unknown>; onConflict?: RawBuilder<unknown> }

function insert(
  tx: Tx,
  table: UserTable,
  rows: readonly Cells[],
  { keys = sql``, onConflict = sql`` }: Clauses = {},
): Promise<RawRow[]> {
  const names = Object.keys(rows[0] ?? {}).map((name) => sql.id(name))
  const values = rows.map((cells) => sql`(${sql.join(Object.values(cells))})`)
  return write(
    tx,
    table,
    sql`insert into ${sql.id(table.sqlName)} (${sql.join(names)}) ${keys}
      values ${sql.join(values)} ${onConflict}`,
  )
}

/** Updates the matching rows and returns them. Throws RowRejected. */
export function updateRows(
  tx: Tx,
  table: UserTable,
  match: Match,
  cells: Cells,
): Promise<RawRow[]> {
  const sets = Object.entries(cells).map(([name, cell]) => sql`${sql.id(name)} = ${cell}`)
  return write(tx, table, sql`update ${sql.id(table.sqlName)} set ${sql.join(sets)} where ${match}`)
}

/** Deletes the matching rows and returns them. Throws RowRejected. */
export const deleteRows = (tx: Tx, table: UserTable, match: Match): Promise<RawRow[]> =>
  write(tx, table, sql`delete from ${sql.id(table.sqlName)} where ${match}`)

/**
 * Replaces the path prefix `from` by `to` in the cells of `column` of the matching rows. Throws RowRejected.
 */
export async function updatePathPrefix(
  tx: Tx,
  table: UserTable,
  { column, match, from, to }: { column: string; match: Match; from: string; to: string },
): Promise<void> {
  const cell = sql.id(column)
  await write(
    tx,
    table,
    sql`update ${sql.id(table.sqlName)} set ${cell} = ${replacePrefix(cell, from, to)} where ${match}`,
  )
}

/** Returns the SQL for `path` with its prefix `from` replaced by `to`. PostgreSQL requires the casts. */
export const replacePrefix = (path: RawBuilder<unknown>, from: string, to: string) =>
  sql<string>`cast(${to} as text) || substr(${path}, length(cast(${from} as text)) + 1)`

const selected = (db: Db | Tx, { sqlName, keyColumn, columns }: UserTable) => [
  sql`${sql.id(sqlName, keyColumn)}`.as('key'),
  ...columns.map(({ name, type }, i) =>
    dialectOf(db).selected(sql.id(sqlName, name), type).as(`c${i}`),
  ),
]

async function write(tx: Tx, table: UserTable, statement: RawBuilder<unknown>): Promise<RawRow[]> {
  const { cellPlugins, checkDeferred, toRowRejected } = dialectOf(tx)
  const returning = sql<RawRow>`${statement} returning ${sql.join(selected(tx, table))}`
  const query = cellPlugins(table).reduce((query, plugin) => query.withPlugin(plugin), returning)
  try {
    const { rows } = await query.execute(tx)
    if (table.letIn) await checkDeferred(tx)
    return rows
  } catch (error) {
    throw maskReason(table, toRowRejected(table, error)) ?? error
  }
}

/**
 * Hides the reason if it is an operator's table: the violated constraint would disclose rows and columns that
 * are not exposed.
 */
const maskReason = ({ letIn, name }: UserTable, rejected: RowRejected | null) =>
  rejected && letIn
    ? new RowRejected({ table: name, reason: 'the table does not take this row' })
    : rejected
