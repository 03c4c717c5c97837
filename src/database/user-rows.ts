import { type Expression, type RawBuilder, type SqlBool, sql } from 'kysely'
import { RowRejected } from '../errors.ts'
import type { Db } from './database.ts'
import type { Query } from './seek.ts'
import type { Tx } from './transaction.ts'
import type { UserTable } from './user-tables.ts'

// Every identifier here goes through sql.id, which quotes it whole: a dot or a quote in it is a character like any other.

/** What a cell holds; whole numbers beyond 2^53 come as text and may go back so. */
export type Cell = string | number | Buffer | null
export type Cells = Record<string, Cell>
/** A row under names of ours: its key, then the columns in their order as c0, c1, … */
export type RawRow = { key: number } & { [c: `c${number}`]: Cell }
export type Match = RawBuilder<SqlBool>
/** A subquery for keys of rows. */
export type Keys = Expression<{ rowKey: number }>
/** A subquery for keys of rows, each with the path that a cell of the row is to hold. */
export type KeysAndPaths = Expression<{ rowKey: number; path: string }>

/** The values of a row by the names of its columns. */
export const cellsOf = ({ columns }: UserTable, row: RawRow): Cells =>
  Object.fromEntries(columns.map(({ name }, i) => [name, row[`c${i}`] ?? null]))

/** Rows with these values in these columns; null is null. */
export const holding = (table: UserTable, cells: Cells): Match =>
  all(
    Object.entries(cells).map(([name, cell]) =>
      cell === null ? sql`${at(table, name)} is null` : sql`${at(table, name)} = ${cell}`,
    ),
  )

/** Rows whose cell is `path`, or with `below` also any path under it. */
export const withPath = (table: UserTable, column: string, path: string, below: boolean): Match => {
  const cell = at(table, column)
  if (!below) return sql`${cell} = ${path}`
  // 0 follows / in every order of bytes.
  return sql`(${cell} = ${path} or (${cell} >= ${`${path}/`} and ${cell} < ${`${path}0`}))`
}

export const among = (table: UserTable, keys: Keys): Match =>
  sql`${at(table, table.keyColumn)} in ${keys}`

export const amongCells = (table: UserTable, column: string, cells: KeysAndPaths): Match =>
  sql`(${at(table, table.keyColumn)}, ${at(table, column)}) in ${cells}`

export const withKey = (table: UserTable, key: number): Match =>
  sql`${at(table, table.keyColumn)} = ${key}`

export const all = (matches: Match[]): Match =>
  matches.length === 0 ? sql`1 = 1` : sql`(${sql.join(matches, sql` and `)})`

export const any = (matches: Match[]): Match =>
  matches.length === 0 ? sql`1 = 0` : sql`(${sql.join(matches, sql` or `)})`

/** A query for rows, to be sorted and limited by whoever pages through it. */
export function rowsQuery(db: Db | Tx, table: UserTable, match: Match): Query<RawRow> {
  const from = sql`${sql.id(table.sqlName)}`.as(table.sqlName)
  const query = db.selectFrom(from as never).where(match as never)
  return query.select(selected(table) as never) as unknown as Query<RawRow>
}

/** Every write answers with the rows it wrote; what the database refuses is RowRejected. */
export async function insertRow(tx: Tx, table: UserTable, cells: Cells): Promise<RawRow> {
  const [row] = await insertRows(tx, table, [cells])
  return row as RawRow
}

/** Rows that fill the same columns, in the same order. */
export function insertRows(tx: Tx, table: UserTable, rows: readonly Cells[]): Promise<RawRow[]> {
  const names = Object.keys(rows[0] ?? {}).map((name) => sql.id(name))
  const values = rows.map((cells) => sql`(${sql.join(Object.values(cells))})`)
  return write(
    tx,
    table,
    sql`insert into ${sql.id(table.sqlName)} (${sql.join(names)})
      values ${sql.join(values)} returning ${sql.join(selected(table))}`,
  )
}

export function updateRows(
  tx: Tx,
  table: UserTable,
  match: Match,
  cells: Cells,
): Promise<RawRow[]> {
  const sets = Object.entries(cells).map(([name, cell]) => sql`${sql.id(name)} = ${cell}`)
  return write(
    tx,
    table,
    sql`update ${sql.id(table.sqlName)} set ${sql.join(sets)}
      where ${match} returning ${sql.join(selected(table))}`,
  )
}

export const deleteRows = (tx: Tx, table: UserTable, match: Match): Promise<RawRow[]> =>
  write(
    tx,
    table,
    sql`delete from ${sql.id(table.sqlName)} where ${match} returning ${sql.join(selected(table))}`,
  )

/** What begins with `from` in the cells of `column` begins with `to` from now on. */
export async function repathRows(
  tx: Tx,
  table: UserTable,
  { column, match, from, to }: { column: string; match: Match; from: string; to: string },
): Promise<void> {
  const cell = sql.id(column)
  await write(
    tx,
    table,
    sql`update ${sql.id(table.sqlName)} set ${cell} = ${to} || substr(${cell}, length(${from}) + 1)
      where ${match}`,
  )
}

const at = ({ sqlName }: UserTable, column: string) => sql.id(sqlName, column)

const selected = (table: UserTable) => [
  sql`${at(table, table.keyColumn)}`.as('key'),
  ...table.columns.map(({ name }, i) => exact(at(table, name)).as(`c${i}`)),
]

/** The driver rounds whole numbers beyond 2^53; as text they stay what they are, and an integer column takes them back. */
const exact = (cell: ReturnType<typeof sql.id>) =>
  sql<Cell>`case when typeof(${cell}) = 'integer' and ${cell} not between -9007199254740991 and 9007199254740991 then cast(${cell} as text) else ${cell} end`

async function write(tx: Tx, table: UserTable, statement: RawBuilder<unknown>): Promise<RawRow[]> {
  try {
    return (await statement.execute(tx)).rows as RawRow[]
  } catch (error) {
    throw rejection(table, error) ?? error
  }
}

const reasons: [RegExp, string][] = [
  [/_(UNIQUE|PRIMARYKEY|ROWID)$/, 'another row has this value'],
  [/_NOTNULL$/, 'a value is needed'],
  [/_FOREIGNKEY$/, 'a foreign key would not hold'],
]

/** SQLite says "UNIQUE constraint failed: plates.image", "CHECK constraint failed: length(image) < 9". */
function rejection(table: UserTable, error: unknown): RowRejected | null {
  const { code, message } = error as { code?: string; message: string }
  if (!code?.startsWith('SQLITE_CONSTRAINT') && code !== 'SQLITE_MISMATCH') return null
  const named = /^(?:UNIQUE|NOT NULL) constraint failed: [^,]*\.([^.,]+)$/.exec(message)?.[1]
  const reason = reasons.find(([pattern]) => pattern.test(code ?? ''))?.[1] ?? message
  return new RowRejected({ table: table.name, column: named ?? null, reason })
}
