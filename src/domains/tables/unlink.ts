import type { TxContext } from '../../context.ts'
import { all, pathMatches } from '../../database/user-tables/predicates.ts'
import { cellsOf, deleteRows, type RawRow } from '../../database/user-tables/rows.ts'
import type { Cell, Cells } from '../../database/user-tables/user-table.ts'
import { record } from '../activity/writes.ts'
import type { TrashedRow } from '../entries/reads.ts'
import { requireAccess } from '../workspaces/reads.ts'
import { accessibleRows, linksOfRows, requireTable, type Table } from './reads.ts'
import { requirePathColumn } from './rules.ts'
import { toWriteRows } from './writes.ts'

/** Selects the rows whose `column` contains the path of a trashed entry or of an entry below it. */
export type RowUnlink = { table: string; column: string }
const BATCH_SIZE = 500

/**
 * Deletes the rows that contain the path of an entry that was just trashed, or of an entry below it, and
 * saves them until the entry is restored or purged. Returns their number. Throws RowRejected, and Forbidden
 * unless the viewer has role EDITOR and scope TABLES_WRITE.
 */
export async function unlinkRows(
  s: TxContext,
  entry: TrashedRow,
  { table: named, column }: RowUnlink,
): Promise<number> {
  const { workspaceId, id: entryId, originalPath: path } = entry
  await requireAccess(s.tx, s.viewer, workspaceId, toWriteRows)
  const table = await requireTable(s.tx, workspaceId, named)
  requirePathColumn(table, column)
  const linkedRows = pathMatches(s.tx, table, { column, path, below: entry.kind === 'folder' })
  const rows = await deleteRows(s.tx, table, all([accessibleRows(s.tx, table), linkedRows]))
  for (let i = 0; i < rows.length; i += BATCH_SIZE) {
    await saveRows(s, { entryId, table, column, rows: rows.slice(i, i + BATCH_SIZE) })
  }
  const details = { table: named, column, rows: rows.length }
  if (rows.length > 0) {
    await record(s, { workspaceId, action: 'ROW_UNLINKED', entryId, path, details })
  }
  return rows.length
}

type DeletedRows = { entryId: string; table: Table; column: string; rows: RawRow[] }

async function saveRows({ tx }: TxContext, { entryId, table, column, rows }: DeletedRows) {
  const { sqlName } = table
  const keys = rows.map(({ key }) => key)
  const links = Map.groupBy(await linksOfRows(tx, table, keys), ({ rowKey }) => rowKey)
  await tx
    .insertInto('takenRows')
    .values(
      rows.map((row) => ({
        entryId,
        sqlName,
        rowKey: row.key,
        column,
        row: JSON.stringify(Object.entries(cellsOf(table, row)).map(packCell)),
        links: JSON.stringify(links.get(row.key) ?? []),
      })),
    )
    .execute()
  await tx
    .deleteFrom('rowLinks')
    .where('sqlName', '=', sqlName)
    .where('rowKey', 'in', keys)
    .execute()
}

type Packed = [name: string, cell: string | number | null | { base64: string }]
const packCell = ([name, cell]: [string, Cell]): Packed =>
  Buffer.isBuffer(cell) ? [name, { base64: cell.toString('base64') }] : [name, cell]
const unpackCell = ([name, cell]: Packed): [string, Cell] =>
  typeof cell === 'object' && cell !== null
    ? [name, Buffer.from(cell.base64, 'base64')]
    : [name, cell]

/** Parses the cells of a saved row. */
export const unpackCells = (row: string): Cells =>
  Object.fromEntries((JSON.parse(row) as Packed[]).map(unpackCell))
