import type { Db } from '../../database/database.ts'
import type { List } from '../../database/query/keyset.ts'
import type { Row } from '../../database/tables.ts'
import type { Tx } from '../../database/transaction.ts'
import {
  all,
  any,
  keyAndCellIn,
  type Match,
  valuesEqual,
  withKey,
} from '../../database/user-tables/predicates.ts'
import { type RawRow, rowsQuery } from '../../database/user-tables/rows.ts'
import { existingTables, type UserTable } from '../../database/user-tables/tables.ts'
import { InvalidInput, RowRejected } from '../../errors.ts'
import { pathColumns, requireColumn } from './rules.ts'
import { encodeCells } from './values.ts'

/**
 * A table as a workspace sees it. Of one that all workspaces share it sees the rows that it linked itself, and no others:
 * paths mean nothing outside their workspace, and neither do the rows that hold them.
 */
export type Table = UserTable & { workspaceId: string; shared: boolean }
export type TableRow = { table: Table; row: RawRow }
export type RowLinkRow = Row<'rowLinks'>

/** The tables that a workspace can use, by name: its own, then the operator's. What another program dropped is none. */
export async function tablesOf(db: Db | Tx, workspaceId: string): Promise<Table[]> {
  const rows = await db
    .selectFrom('userTables')
    .selectAll()
    .where((eb) => eb.or([eb('workspaceId', '=', workspaceId), eb('workspaceId', 'is', null)]))
    .orderBy('letIn')
    .orderBy('nameKey')
    .execute()
  const there = await existingTables(
    db,
    rows.map(({ sqlName }) => sqlName),
  )
  return rows.filter(({ sqlName }) => there.has(sqlName)).map((row) => seenFrom(workspaceId, row))
}

const seenFrom = (
  workspaceId: string,
  { name, sqlName, keyColumn, columns, letIn, workspaceId: owner }: Row<'userTables'>,
): Table => ({
  workspaceId,
  name,
  sqlName,
  keyColumn,
  columns: JSON.parse(columns),
  letIn: letIn === 1,
  shared: owner === null,
})

/** The table of this name; RowRejected where the workspace has none. */
export async function requireTable(
  db: Db | Tx,
  workspaceId: string,
  named: string,
): Promise<Table> {
  const table = (await tablesOf(db, workspaceId)).find(({ name }) => name === named)
  if (table) return table
  throw new RowRejected({ table: named, reason: 'the workspace has no such table' })
}

/** The rows that a workspace may read, change and take away. */
export function withinReach(db: Db | Tx, table: Table): Match {
  if (!table.shared) return all([])
  // A cell that another program has changed since is no longer the workspace's.
  const linked = (column: string) =>
    db
      .selectFrom('rowLinks')
      .select(['rowKey', 'path'])
      .where('workspaceId', '=', table.workspaceId)
      .where('sqlName', '=', table.sqlName)
      .where('column', '=', column)
  return any(pathColumns(table).map((column) => keyAndCellIn(db, table, column, linked(column))))
}

/** The rows of a table by their keys, those alone whose columns have the values of `where`. Reads all rows for that. */
export function rowsList(
  db: Db,
  table: Table,
  where: Record<string, unknown> | null | undefined,
): List<RawRow> {
  const key = `${table.sqlName}.${table.keyColumn}`
  const match = all([withinReach(db, table), conditionOf(db, table, where ?? {})])
  return {
    ordering: `rows:${table.sqlName}`,
    keys: [{ column: key, as: 'key', direction: 'asc', numeric: true }],
    segments: [rowsQuery(db, table, match)],
  }
}

function conditionOf(db: Db, table: Table, where: Record<string, unknown>): Match {
  try {
    return matching(db, table, where)
  } catch (error) {
    if (!(error instanceof RowRejected)) throw error
    throw new InvalidInput({ path: ['where', error.column ?? ''], message: error.reason })
  }
}

/** Rows whose columns have these values; RowRejected for an unknown column and for a value that no row of it can have. */
export function matching(db: Db | Tx, table: Table, where: Record<string, unknown>): Match {
  const json = Object.keys(where).find((column) => requireColumn(table, column).type === 'JSON')
  if (json === undefined) return valuesEqual(db, table, encodeCells(table, where))
  throw new RowRejected({ table: table.name, column: json, reason: 'JSON is not compared' })
}

/** The row that was linked when this upload was confirmed, or null. */
export async function rowOfUpload(
  db: Db,
  { id, workspaceId }: { id: string; workspaceId: string },
): Promise<TableRow | null> {
  const link = await db
    .selectFrom('rowLinks')
    .selectAll()
    .where('uploadId', '=', id)
    .orderBy('rowKey')
    .limit(1)
    .executeTakeFirst()
  const tables = link ? await tablesOf(db, workspaceId) : []
  const table = tables.find(({ sqlName }) => sqlName === link?.sqlName)
  if (!link || !table) return null
  const row = await rowsQuery(
    db,
    table,
    // Another program may have given the key to a row that is not the workspace's.
    all([withinReach(db, table), withKey(table, link.rowKey)]),
  ).executeTakeFirst()
  return row ? { table, row } : null
}

/** Which files the cells of these rows were linked to; rows of one table, by their keys. */
export const linksOfRows = (
  db: Db | Tx,
  { workspaceId, sqlName }: Table,
  keys: readonly number[],
): Promise<RowLinkRow[]> =>
  db
    .selectFrom('rowLinks')
    .selectAll()
    .where('workspaceId', '=', workspaceId)
    .where('sqlName', '=', sqlName)
    .where('rowKey', 'in', keys)
    .execute()
