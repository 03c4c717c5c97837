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
import { existingTables } from '../../database/user-tables/tables.ts'
import type { UserTable } from '../../database/user-tables/user-table.ts'
import { RowRejected } from '../../errors/entries.ts'
import { InvalidInput } from '../../errors/input.ts'
import { pathColumns, requireColumn } from './rules.ts'
import { encodeCells } from './values.ts'

/**
 * A table as one workspace sees it. If all workspaces share the table, the workspace sees only the rows that
 * it has linked, because paths are relative to their workspace.
 */
export type Table = UserTable & { workspaceId: string; shared: boolean }
export type TableRow = { table: Table; row: RawRow }
export type RowLinkRow = Row<'rowLinks'>

/**
 * Returns the tables that a workspace can use: its own tables, then those of the operator, each sorted by
 * name. Omits dropped tables.
 */
export async function tablesOf(db: Db | Tx, workspaceId: string): Promise<Table[]> {
  const rows = await db
    .selectFrom('userTables')
    .selectAll()
    .where((eb) => eb.or([eb('workspaceId', '=', workspaceId), eb('workspaceId', 'is', null)]))
    .orderBy('letIn')
    .orderBy('nameKey')
    .execute()
  const existing = await existingTables(
    db,
    rows.map(({ sqlName }) => sqlName),
  )
  return rows.filter(({ sqlName }) => existing.has(sqlName)).map((row) => toTable(workspaceId, row))
}

const toTable = (
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

/** Returns the table of this name. Throws RowRejected if the workspace has none. */
export async function requireTable(
  db: Db | Tx,
  workspaceId: string,
  tableName: string,
): Promise<Table> {
  const table = (await tablesOf(db, workspaceId)).find(({ name }) => name === tableName)
  if (table) return table
  throw new RowRejected({ table: tableName, reason: 'the workspace has no such table' })
}

/** Returns the condition for the rows that a workspace may read, change and delete. */
export function accessibleRows(db: Db | Tx, table: Table): Match {
  if (!table.shared) return all([])
  // If another program has changed a linked cell, its row no longer belongs to the workspace.
  const linked = (column: string) =>
    db
      .selectFrom('rowLinks')
      .select(['rowKey', 'path'])
      .where('workspaceId', '=', table.workspaceId)
      .where('sqlName', '=', table.sqlName)
      .where('column', '=', column)
  return any(pathColumns(table).map((column) => keyAndCellIn(db, table, column, linked(column))))
}

/**
 * Returns the list of the rows of a table, sorted by key; with `where`, only of those that match. Scans all
 * rows to evaluate `where`. Throws InvalidInput for an invalid `where`.
 */
export function rowsList(
  db: Db,
  table: Table,
  where: Record<string, unknown> | null | undefined,
): List<RawRow> {
  const key = `${table.sqlName}.${table.keyColumn}`
  const match = all([accessibleRows(db, table), conditionOf(db, table, where ?? {})])
  return {
    ordering: `rows:${table.sqlName}`,
    keys: [{ column: key, as: 'key', direction: 'asc', numeric: true }],
    segments: [rowsQuery(db, table, match)],
  }
}

function conditionOf(db: Db, table: Table, where: Record<string, unknown>): Match {
  try {
    return rowsMatching(db, table, where)
  } catch (error) {
    if (!(error instanceof RowRejected)) throw error
    throw new InvalidInput({ path: ['where', error.column ?? ''], message: error.reason })
  }
}

/**
 * Returns the condition that columns have these values. Throws RowRejected for unknown columns, JSON columns,
 * and values of the wrong type.
 */
export function rowsMatching(db: Db | Tx, table: Table, where: Record<string, unknown>): Match {
  const json = Object.keys(where).find((column) => requireColumn(table, column).type === 'JSON')
  if (json === undefined) return valuesEqual(db, table, encodeCells(table, where))
  throw new RowRejected({
    table: table.name,
    column: json,
    reason: 'JSON columns cannot be compared',
  })
}

/**
 * Returns the row that was linked when the upload was confirmed, or null if none was linked or it no longer
 * belongs to the workspace.
 */
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
  const row = await rowByKey(db, table, link.rowKey)
  return row ? { table, row } : null
}

/**
 * Returns the row with a key, or undefined if there is none or it does not belong to the workspace of
 * `table`: another program may have reused the key of a row that was linked.
 */
export async function rowByKey(db: Db, table: Table, key: number): Promise<RawRow | undefined> {
  if (!Number.isSafeInteger(key)) return undefined
  return rowsQuery(
    db,
    table,
    all([accessibleRows(db, table), withKey(table, key)]),
  ).executeTakeFirst()
}

/** Returns the links of the rows with these keys. */
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
