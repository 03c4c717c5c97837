import { type Expression, type RawBuilder, type SqlBool, sql } from 'kysely'
import type { Db } from '../database.ts'
import type { Tx } from '../transaction.ts'
import { dialectOf } from './cells.ts'
import type { Cells, UserTable } from './user-table.ts'

export type Match = RawBuilder<SqlBool>
/** A subquery that returns keys of rows. */
export type Keys = Expression<{ rowKey: number }>
/** A subquery that returns keys of rows, each with the path that a cell of the row must contain. */
export type KeysAndPaths = Expression<{ rowKey: number; path: string }>

const at = ({ sqlName }: UserTable, column: string) => sql.id(sqlName, column)

/** Matches rows with these values in these columns; null matches null. */
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

/** Matches rows whose cell is `path` or, with `below`, any path under it. */
export function pathMatches(
  db: Db | Tx,
  table: UserTable,
  { column, path, below }: PathMatch,
): Match {
  const cell = at(table, column)
  if (!below) return sql`${cell} = ${path}`
  const { binaryCollated } = dialectOf(db)
  // '0' is the byte after '/'.
  return sql`(${cell} = ${path}
    or (${binaryCollated(cell)} >= ${`${path}/`} and ${binaryCollated(cell)} < ${`${path}0`}))`
}

/** Matches rows whose key is in the subquery. */
export const keyIn = (table: UserTable, keys: Keys): Match =>
  sql`${at(table, table.keyColumn)} in ${keys}`

/** Matches rows whose key and cell are in the subquery. */
export const keyAndCellIn = (
  db: Db | Tx,
  table: UserTable,
  column: string,
  cells: KeysAndPaths,
): Match => {
  const cell = dialectOf(db).binaryCollated(at(table, column))
  return sql`(${at(table, table.keyColumn)}, ${cell}) in ${cells}`
}

/** Matches the row with this key. */
export const withKey = (table: UserTable, key: number): Match =>
  sql`${at(table, table.keyColumn)} = cast(${key} as bigint)`

/** Combines predicates with AND; true if there are none. */
export const all = (matches: Match[]): Match =>
  matches.length === 0 ? sql`1 = 1` : sql`(${sql.join(matches, sql` and `)})`

/** Combines predicates with OR; false if there are none. */
export const any = (matches: Match[]): Match =>
  matches.length === 0 ? sql`1 = 0` : sql`(${sql.join(matches, sql` or `)})`
