import { inTransaction, type ServiceContext, type TxContext } from '../../context.ts'
import type { Db } from '../../database/database.ts'
import { all } from '../../database/user-tables/predicates.ts'
import { insertRow, type RawRow, updateRows } from '../../database/user-tables/rows.ts'
import { InvalidState, RowRejected } from '../../errors.ts'
import { record } from '../activity/writes.ts'
import { withInputPath } from '../entries/input-path.ts'
import { type EntryRow, entryById, pathOf, requireLive } from '../entries/reads.ts'
import { requireAccess } from '../workspaces/reads.ts'
import {
  matching,
  type RowLinkRow,
  requireTable,
  type Table,
  type TableRow,
  withinReach,
} from './reads.ts'
import { requireColumn, requirePathColumn } from './rules.ts'
import { encodeCells } from './values.ts'
import { toWriteRows } from './writes.ts'

/** A row whose `column` is to be a file's path: a new one with `values` in other columns, or those that match `key`. */
export type RowLink = {
  table: string
  column: string
  values?: Record<string, unknown> | null | undefined
  key?: Record<string, unknown> | null | undefined
}

/** So many rows one call sets at most. */
const MOST_ROWS = 1000

/** Links a living file that exists; EDITOR, scope TABLES_WRITE. NotFound, Forbidden, InvalidState, RowRejected. */
export async function linkRow(
  ctx: ServiceContext,
  { fileId, link }: { fileId: string; link: RowLink },
): Promise<TableRow & { file: EntryRow }> {
  return inTransaction(ctx, async (s) => {
    const found = requireLive(s.tx, s.viewer, { id: fileId }, toWriteRows)
    const { entry: file } = await withInputPath('fileId', found)
    if (file.kind !== 'file') throw new InvalidState('FOLDER', 'this is a folder, not a file')
    return { ...(await linkFile(s, file, link)), file }
  })
}

/**
 * Writes the path of a living file into a row of a linked table, in the transaction of the caller; `uploadId` is the upload
 * that made the file. Answers with the first row. Throws RowRejected with whatever the table has against it, and Forbidden
 * unless the viewer may write rows (EDITOR, scope TABLES_WRITE).
 */
export async function linkFile(
  s: TxContext,
  file: EntryRow,
  link: RowLink,
  uploadId: string | null = null,
): Promise<TableRow> {
  const { workspaceId, id: entryId } = file
  await requireAccess(s.tx, s.viewer, workspaceId, toWriteRows)
  const table = await requireTable(s.tx, workspaceId, link.table)
  const path = pathOf(file, file.parentId ? await entryById(s.tx, file.parentId) : null)
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

/** At least one row. */
async function writeRows(
  s: TxContext,
  table: Table,
  { column, values, key }: RowLink,
  path: string,
): Promise<RawRow[]> {
  const refuse = (column: string | null, reason: string) =>
    new RowRejected({ table: table.name, column, reason })
  requirePathColumn(table, column)
  if (Object.hasOwn(values ?? {}, column)) throw refuse(column, 'the path goes here, no value')
  if (Object.hasOwn(values ?? {}, table.keyColumn) && requireColumn(table, table.keyColumn))
    throw refuse(table.keyColumn, 'the key of a row is not written')
  const cells = { ...encodeCells(table, values ?? {}), [column]: path }
  if (key == null) return [await newRow(s, table, cells)]
  if (Object.keys(key).length === 0) throw refuse(null, 'a key names at least one column')
  const match = all([withinReach(s.tx, table), matching(s.tx, table, key)])
  const rows = await updateRows(s.tx, table, match, cells)
  if (rows.length === 0) throw refuse(null, 'no row matches the key')
  if (rows.length > MOST_ROWS) throw refuse(null, `more than ${MOST_ROWS} rows match the key`)
  return rows
}

/** Where its key was another row's before, the links of that one are void. */
async function newRow(s: TxContext, table: Table, cells: Parameters<typeof insertRow>[2]) {
  const row = await insertRow(s.tx, table, cells)
  const { sqlName } = table
  await s.tx
    .deleteFrom('rowLinks')
    .where('sqlName', '=', sqlName)
    .where('rowKey', '=', row.key)
    .execute()
  return row
}

/** Which cell of which row. */
export type LinkKey = Pick<RowLinkRow, 'sqlName' | 'rowKey' | 'column'>

/** The cell stays as it is; that it is linked is forgotten. */
export async function dropLink(db: Db, { sqlName, rowKey, column }: LinkKey): Promise<void> {
  await db
    .deleteFrom('rowLinks')
    .where('sqlName', '=', sqlName)
    .where('rowKey', '=', rowKey)
    .where('column', '=', column)
    .execute()
}

/** A cell has one link: an older one gives way. */
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
