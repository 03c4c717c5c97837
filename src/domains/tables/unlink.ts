import type { TxContext } from '../../context.ts'
import type { Cell, Cells } from '../../database/user-tables/cells.ts'
import { all, pathMatches } from '../../database/user-tables/predicates.ts'
import { cellsOf, deleteRows, type RawRow } from '../../database/user-tables/rows.ts'
import { record } from '../activity/writes.ts'
import type { EntryRow } from '../entries/reads.ts'
import { requireAccess } from '../workspaces/reads.ts'
import { linksOfRows, requireTable, type Table, withinReach } from './reads.ts'
import { requirePathColumn } from './rules.ts'
import { toWriteRows } from './writes.ts'

/** Rows whose `column` holds the path of what goes to the trash, or of anything below it. */
export type RowUnlink = { table: string; column: string }
const AT_ONCE = 500

/**
 * Takes those rows away with an entry that was just put in the trash, and remembers them until it is restored or purged.
 * Answers with their number. Throws RowRejected, and Forbidden unless the viewer may write rows (EDITOR, TABLES_WRITE).
 */
export async function unlinkRows(
  s: TxContext,
  entry: EntryRow,
  { table: named, column }: RowUnlink,
): Promise<number> {
  const { workspaceId, id: entryId, originalPath } = entry
  await requireAccess(s.tx, s.viewer, workspaceId, toWriteRows)
  const table = await requireTable(s.tx, workspaceId, named)
  requirePathColumn(table, column)
  const path = originalPath ?? ''
  const held = pathMatches(s.tx, table, { column, path, below: entry.kind === 'folder' })
  const rows = await deleteRows(s.tx, table, all([withinReach(s.tx, table), held]))
  for (let i = 0; i < rows.length; i += AT_ONCE) {
    await remember(s, { entryId, table, column, rows: rows.slice(i, i + AT_ONCE) })
  }
  const details = { table: named, column, rows: rows.length }
  if (rows.length > 0) {
    await record(s, { workspaceId, action: 'ROW_UNLINKED', entryId, path, details })
  }
  return rows.length
}

type Taking = { entryId: string; table: Table; column: string; rows: RawRow[] }

async function remember({ tx }: TxContext, { entryId, table, column, rows }: Taking) {
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
        row: JSON.stringify(Object.entries(cellsOf(table, row)).map(packed)),
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
const packed = ([name, cell]: [string, Cell]): Packed =>
  Buffer.isBuffer(cell) ? [name, { base64: cell.toString('base64') }] : [name, cell]
const unpacked = ([name, cell]: Packed): [string, Cell] =>
  typeof cell === 'object' && cell !== null
    ? [name, Buffer.from(cell.base64, 'base64')]
    : [name, cell]

/** The cells of a row that was remembered. */
export const unpackedCells = (row: string): Cells =>
  Object.fromEntries((JSON.parse(row) as Packed[]).map(unpacked))
