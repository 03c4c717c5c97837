import type { TxContext } from '../../context.ts'
import type { Row } from '../../database/tables.ts'
import type { Tx } from '../../database/transaction.ts'
import { insertRows } from '../../database/user-tables/rows.ts'
import type { Cell, Cells } from '../../database/user-tables/user-table.ts'
import { record } from '../activity/writes.ts'
import {
  type EntryRow,
  entriesWithParents,
  loadPath,
  pathOf,
  type TrashedRow,
} from '../entries/reads.ts'
import { addLinks } from './links.ts'
import { type RowLinkRow, type Table, tablesOf } from './reads.ts'
import { moveRows } from './sync-paths.ts'
import { unpackCells } from './unlink.ts'

/**
 * Number of rows that one statement inserts: rows have up to 100 columns, and the number of values of a
 * statement is limited.
 */
const BATCH_SIZE = 100

/**
 * Restores the rows that were deleted with an entry, with the current paths of their files. `before` is the
 * entry as it was in the trash. Also updates the paths of linked rows that were not deleted. Returns the
 * number of restored rows. Does not restore rows of a table that no longer exists. Throws RowRejected if
 * another row has the same key.
 */
export async function relinkRows(
  s: TxContext,
  before: TrashedRow,
  restored: EntryRow,
): Promise<number> {
  const { workspaceId, id: entryId } = restored
  const move = { from: before.originalPath, to: await loadPath(s.tx, restored) }
  await moveRows(s, { workspaceId, entryId, ...move })
  let rows = 0
  for (const table of await tablesOf(s.tx, workspaceId)) {
    const deletedRows = await takeRowsOf(s.tx, entryId, table)
    rows += deletedRows.length
    for (let i = 0; i < deletedRows.length; i += BATCH_SIZE) {
      await restoreRows(s, table, deletedRows.slice(i, i + BATCH_SIZE), move)
    }
  }
  const details = { rows }
  if (rows > 0) {
    await record(s, { workspaceId, action: 'ROW_LINKED', entryId, path: move.to, details })
  }
  return rows
}

const takeRowsOf = (tx: Tx, entryId: string, { sqlName }: Table) =>
  tx
    .deleteFrom('takenRows')
    .where('entryId', '=', entryId)
    .where('sqlName', '=', sqlName)
    .returningAll()
    .execute()

type PathChange = { from: string; to: string }
type RestoredRow = { key: number; original: Cells; now: Cells; links: RowLinkRow[] }

async function restoreRows(
  s: TxContext,
  table: Table,
  deletedRows: Row<'takenRows'>[],
  move: PathChange,
) {
  const rows = deletedRows.map((row) => toRestoredRow(row, move))
  const paths = await currentPaths(
    s.tx,
    rows.flatMap(({ links }) => links.map(({ fileId }) => fileId)),
  )
  const links = rows.flatMap((row) => relink(row, paths))
  const cells = rows.map(({ key, now }) => ({
    ...existingColumns(table, now),
    [table.keyColumn]: key,
  }))
  // Group the rows by their columns, because the operator may have changed the table between two deletions.
  const byColumns = Map.groupBy(cells, (row) => JSON.stringify(Object.keys(row)))
  for (const same of byColumns.values()) await insertRows(s.tx, table, same)
  await addLinks(s, links)
}

function toRestoredRow(deletedRow: Row<'takenRows'>, move: PathChange): RestoredRow {
  const original = unpackCells(deletedRow.row)
  const now = {
    ...original,
    [deletedRow.column]: movedCell(original[deletedRow.column] ?? null, move),
  }
  return { key: deletedRow.rowKey, original, now, links: JSON.parse(deletedRow.links) }
}

const movedCell = (cell: Cell, { from, to }: PathChange): Cell =>
  typeof cell === 'string' && (cell === from || cell.startsWith(`${from}/`))
    ? to + cell.slice(from.length)
    : cell

/**
 * Writes the current paths into the row and returns its links, except those of purged files and those whose
 * cell had another path when the row was deleted.
 */
function relink({ original, now, links }: RestoredRow, paths: ReadonlyMap<string, string>) {
  return links.flatMap((link) => {
    const { column, fileId } = link
    const path = paths.get(fileId)
    if (path === undefined || original[column] !== link.path) return []
    now[column] = path
    return [{ ...link, path }]
  })
}

const existingColumns = ({ columns }: Table, cells: Cells): Cells =>
  Object.fromEntries(
    columns.flatMap(({ name }) =>
      Object.hasOwn(cells, name) ? [[name, cells[name] ?? null]] : [],
    ),
  )

/**
 * Returns the current path of each file, or its original path if it is in the trash. Omits files that do not
 * exist.
 */
async function currentPaths(tx: Tx, fileIds: string[]): Promise<Map<string, string>> {
  const files = await entriesWithParents(tx, fileIds)
  return new Map(files.map(({ entry, parent }) => [entry.id, pathOf(entry, parent)]))
}
