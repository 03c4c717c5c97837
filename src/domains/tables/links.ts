import type { ServiceContext, TxContext } from '../../context.ts'
import type { Db } from '../../database/database.ts'
import { all } from '../../database/user-tables/predicates.ts'
import { insertRow, type RawRow, updateRows } from '../../database/user-tables/rows.ts'
import { InvalidState, RowRejected } from '../../errors/entries.ts'
import { record } from '../activity/writes.ts'
import { withInputPath } from '../entries/input-path.ts'
import { type FileRow, loadPath, requireLive } from '../entries/reads.ts'
import { inEntryTransaction } from '../entries/transaction.ts'
import { requireAccess } from '../workspaces/reads.ts'
import {
  accessibleRows,
  type RowLinkRow,
  requireTable,
  rowsMatching,
  type Table,
  type TableRow,
} from './reads.ts'
import { requireColumn, requirePathColumn } from './rules.ts'
import { encodeCells } from './values.ts'
import { toWriteRows } from './writes.ts'

/**
 * Rows whose `column` receives the path of a file: a new row with `values` in its other columns, or the rows
 * that match `key`.
 */
export type RowLink = {
  table: string
  column: string
  values?: Record<string, unknown> | null | undefined
  key?: Record<string, unknown> | null | undefined
}

/** Maximum number of rows that one call may update. */
const MAX_ROWS = 1000

/**
 * Links an existing live file to table rows. Requires role EDITOR and scope TABLES_WRITE. Throws NotFound,
 * Forbidden, InvalidState, RowRejected.
 */
export async function linkRow(
  ctx: ServiceContext,
  { fileId, link }: { fileId: string; link: RowLink },
): Promise<TableRow & { file: FileRow }> {
  return inEntryTransaction(ctx, [{ id: fileId }], async (s) => {
    const lookup = requireLive(s.tx, s.viewer, { id: fileId }, toWriteRows)
    const { entry: file } = await withInputPath('fileId', lookup)
    if (file.kind !== 'file') throw new InvalidState('FOLDER', 'this is a folder, not a file')
    return { ...(await linkFile(s, file, link)), file }
  })
}

/**
 * Writes the path of a live file into table rows, in the transaction of the caller. `uploadId` is the upload
 * that created the file, or null. Returns the row with the smallest key. Throws RowRejected if the table
 * rejects a row, and NotFound or Forbidden unless the viewer has role EDITOR and scope TABLES_WRITE.
 */
export async function linkFile(
  s: TxContext,
  file: FileRow,
  link: RowLink,
  uploadId: string | null = null,
): Promise<TableRow> {
  const { workspaceId, id: entryId } = file
  await requireAccess(s.tx, s.viewer, workspaceId, toWriteRows)
  const table = await requireTable(s.tx, workspaceId, link.table)
  const path = await loadPath(s.tx, file)
  const rows = await writeRows(s, table, link, path)
  const { column } = link
  const linked = { workspaceId, column, fileId: entryId, path, uploadId }
  await addLinks(
    s,
    rows.map(({ key }) => ({ ...linked, sqlName: table.sqlName, rowKey: key })),
  )
  const details = { table: table.name, column, rows: rows.length }
  await record(s, { workspaceId, action: 'ROW_LINKED', entryId, path, details })
  const row = rows.reduce((first, row) => (row.key < first.key ? row : first))
  return { table, row }
}

/** Inserts or updates rows and returns them. Throws RowRejected if no row or too many rows match the key. */
async function writeRows(
  s: TxContext,
  table: Table,
  { column, values, key }: RowLink,
  path: string,
): Promise<RawRow[]> {
  const rejected = (column: string | null, reason: string) =>
    new RowRejected({ table: table.name, column, reason })
  requirePathColumn(table, column)
  if (Object.hasOwn(values ?? {}, column))
    throw rejected(column, 'this column receives the path, so it cannot have a value')
  if (Object.hasOwn(values ?? {}, table.keyColumn) && requireColumn(table, table.keyColumn))
    throw rejected(table.keyColumn, 'the key column cannot be written')
  const cells = { ...encodeCells(table, values ?? {}), [column]: path }
  if (key == null) return [await insertNewRow(s, table, cells)]
  if (Object.keys(key).length === 0) throw rejected(null, 'key must contain at least one column')
  const match = all([accessibleRows(s.tx, table), rowsMatching(s.tx, table, key)])
  const rows = await updateRows(s.tx, table, match, cells)
  if (rows.length === 0) throw rejected(null, 'no row matches the key')
  if (rows.length > MAX_ROWS)
    throw rejected(null, `${rows.length} rows match the key (limit ${MAX_ROWS})`)
  return rows
}

/** Inserts a row. Deletes the links of an earlier row with the same key. */
async function insertNewRow(s: TxContext, table: Table, cells: Parameters<typeof insertRow>[2]) {
  const row = await insertRow(s.tx, table, cells)
  const { sqlName } = table
  await s.tx
    .deleteFrom('rowLinks')
    .where('sqlName', '=', sqlName)
    .where('rowKey', '=', row.key)
    .execute()
  return row
}

/** The key of the link of one cell. */
export type LinkKey = Pick<RowLinkRow, 'sqlName' | 'rowKey' | 'column'>

/** Deletes the link of a cell. The value of the cell does not change. */
export async function deleteLink(db: Db, { sqlName, rowKey, column }: LinkKey): Promise<void> {
  await db
    .deleteFrom('rowLinks')
    .where('sqlName', '=', sqlName)
    .where('rowKey', '=', rowKey)
    .where('column', '=', column)
    .execute()
}

/** Adds links to cells. A cell has at most one link, so an existing one is replaced. */
export async function addLinks({ tx }: TxContext, links: RowLinkRow[]): Promise<void> {
  if (links.length === 0) return
  await tx
    .insertInto('rowLinks')
    .values(links)
    .onConflict((cell) =>
      cell.columns(['sqlName', 'rowKey', 'column']).doUpdateSet((eb) => ({
        workspaceId: eb.ref('excluded.workspaceId'),
        fileId: eb.ref('excluded.fileId'),
        path: eb.ref('excluded.path'),
        uploadId: eb.ref('excluded.uploadId'),
      })),
    )
    .execute()
}
