import { type RawBuilder, sql } from 'kysely'
import { RowRejected } from '../../errors.ts'
import type { Db } from '../database.ts'
import type { Query } from '../query/keyset-predicate.ts'
import type { Tx } from '../transaction.ts'
import { type Cell, type Cells, dialectOf } from './cells.ts'
import type { Match } from './predicates.ts'
import type { UserTable } from './tables.ts'

// Every identifier here goes through sql.id, which quotes it whole: a dot or a quote in it is a character like any other.

/** A row under names of ours: its key, then the columns in their order as c0, c1, … */
export type RawRow = { key: number } & { [c: `c${number}`]: Cell }

/** The values of a row by the names of its columns. */
export const cellsOf = ({ columns }: UserTable, row: RawRow): Cells =>
  Object.fromEntries(columns.map(({ name }, i) => [name, row[`c${i}`] ?? null]))

/** A query for rows, to be sorted and limited by whoever pages through it. */
export function rowsQuery(db: Db | Tx, table: UserTable, match: Match): Query<RawRow> {
  const from = sql`${sql.id(table.sqlName)}`.as(table.sqlName)
  const query = db.selectFrom(from as never).where(match as never)
  const rows = query.select(selected(db, table) as never) as unknown as Query<RawRow>
  return dialectOf(db)
    .asCells(table)
    .reduce((reading, plugin) => reading.withPlugin(plugin), rows)
}

/**
 * Every write answers with the rows it wrote; what the database refuses is RowRejected. A row without a key is given the next
 * number that no row has.
 */
export async function insertRow(tx: Tx, table: UserTable, cells: Cells): Promise<RawRow> {
  const { unlessKeyIsTaken, passTakenKeys } = dialectOf(tx)
  const [row] = await insert(tx, table, [cells], { onConflict: unlessKeyIsTaken(table) })
  if (row) return row
  if (!Object.hasOwn(cells, table.keyColumn)) await passTakenKeys(tx, table)
  const [next] = await insert(tx, table, [cells])
  if (next) return next
  throw new RowRejected({ table: table.name, reason: 'the table took no row' })
}

/** Puts rows back with the keys that they had; they fill the same columns, in the same order. */
export const insertRows = (tx: Tx, table: UserTable, rows: readonly Cells[]): Promise<RawRow[]> =>
  insert(tx, table, rows, { keys: dialectOf(tx).withOwnKeys })

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

export function updateRows(
  tx: Tx,
  table: UserTable,
  match: Match,
  cells: Cells,
): Promise<RawRow[]> {
  const sets = Object.entries(cells).map(([name, cell]) => sql`${sql.id(name)} = ${cell}`)
  return write(tx, table, sql`update ${sql.id(table.sqlName)} set ${sql.join(sets)} where ${match}`)
}

export const deleteRows = (tx: Tx, table: UserTable, match: Match): Promise<RawRow[]> =>
  write(tx, table, sql`delete from ${sql.id(table.sqlName)} where ${match}`)

/** What begins with `from` in the cells of `column` begins with `to` from now on. */
export async function updatePathPrefix(
  tx: Tx,
  table: UserTable,
  { column, match, from, to }: { column: string; match: Match; from: string; to: string },
): Promise<void> {
  const cell = sql.id(column)
  await write(
    tx,
    table,
    sql`update ${sql.id(table.sqlName)} set ${cell} = ${repathed(cell, from, to)} where ${match}`,
  )
}

/** `path` with `to` in the place of `from`, with which it begins. The casts are for PostgreSQL, which asks for types. */
export const repathed = (path: RawBuilder<unknown>, from: string, to: string) =>
  sql<string>`cast(${to} as text) || substr(${path}, length(cast(${from} as text)) + 1)`

const selected = (db: Db | Tx, { sqlName, keyColumn, columns }: UserTable) => [
  sql`${sql.id(sqlName, keyColumn)}`.as('key'),
  ...columns.map(({ name, type }, i) =>
    dialectOf(db).selected(sql.id(sqlName, name), type).as(`c${i}`),
  ),
]

async function write(tx: Tx, table: UserTable, statement: RawBuilder<unknown>): Promise<RawRow[]> {
  const { asCells, checkDeferred, rejection } = dialectOf(tx)
  const telling = sql<RawRow>`${statement} returning ${sql.join(selected(tx, table))}`
  const plugged = asCells(table).reduce((told, plugin) => told.withPlugin(plugin), telling)
  try {
    const { rows } = await plugged.execute(tx)
    if (table.letIn) await checkDeferred(tx)
    return rows
  } catch (error) {
    throw refusalOf(table, rejection(table, error)) ?? error
  }
}

/**
 * Of an operator's table all refusals are alike: which constraint it was tells of rows and columns that are
 * not shown.
 */
const refusalOf = ({ letIn, name }: UserTable, rejected: RowRejected | null) =>
  rejected && letIn
    ? new RowRejected({ table: name, reason: 'the table does not take this row' })
    : rejected
