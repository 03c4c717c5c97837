import { type Expression, type RawBuilder, type SqlBool, sql } from 'kysely'
import type { Db } from '../database.ts'
import type { Tx } from '../transaction.ts'
import { type Cells, dialectOf } from './cells.ts'
import type { UserTable } from './tables.ts'

export type Match = RawBuilder<SqlBool>
/** A subquery for keys of rows. */
export type Keys = Expression<{ rowKey: number }>
/** A subquery for keys of rows, each with the path that a cell of the row is to hold. */
export type KeysAndPaths = Expression<{ rowKey: number; path: string }>

const at = ({ sqlName }: UserTable, column: string) => sql.id(sqlName, column)

/** Rows with these values in these columns; null is null. */
export function valuesEqual(db: Db | Tx, table: UserTable, cells: Cells): Match {
  const { equals } = dialectOf(db)
  const matches = Object.entries(cells).map(([name, cell]) => {
    const type = table.columns.find((column) => column.name === name)?.type ?? null
    return cell === null
      ? sql<SqlBool>`${at(table, name)} is null`
      : equals(at(table, name), type, cell)
  })
  return all(matches)
}

type PathMatch = { column: string; path: string; below: boolean }

/** Rows whose cell is `path`, or with `below` also any path under it. */
export function pathMatches(
  db: Db | Tx,
  table: UserTable,
  { column, path, below }: PathMatch,
): Match {
  const cell = at(table, column)
  if (!below) return sql`${cell} = ${path}`
  const { bytewise } = dialectOf(db)
  // 0 follows / in the order of bytes.
  return sql`(${cell} = ${path}
    or (${bytewise(cell)} >= ${`${path}/`} and ${bytewise(cell)} < ${`${path}0`}))`
}

export const keyIn = (table: UserTable, keys: Keys): Match =>
  sql`${at(table, table.keyColumn)} in ${keys}`

export const amongCells = (
  db: Db | Tx,
  table: UserTable,
  column: string,
  cells: KeysAndPaths,
): Match => {
  const cell = dialectOf(db).bytewise(at(table, column))
  return sql`(${at(table, table.keyColumn)}, ${cell}) in ${cells}`
}

export const withKey = (table: UserTable, key: number): Match =>
  sql`${at(table, table.keyColumn)} = cast(${key} as bigint)`

export const all = (matches: Match[]): Match =>
  matches.length === 0 ? sql`1 = 1` : sql`(${sql.join(matches, sql` and `)})`

export const any = (matches: Match[]): Match =>
  matches.length === 0 ? sql`1 = 0` : sql`(${sql.join(matches, sql` or `)})`
