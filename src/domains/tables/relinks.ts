import type { TxContext } from '../../context.ts'
import type { Row } from '../../database/tables.ts'
import type { Tx } from '../../database/transaction.ts'
import type { Cell, Cells } from '../../database/user-tables/cells.ts'
import { insertRows } from '../../database/user-tables/rows.ts'
import { record } from '../activity/writes.ts'
import { type EntryRow, entriesById, entryById, pathOf } from '../entries/reads.ts'
import { addLinks } from './links.ts'
import { type RowLinkRow, type Table, tablesOf } from './reads.ts'
import { moveRows } from './sync-paths.ts'
import { unpackedCells } from './unlink.ts'

/** A hundred rows of a hundred columns are as many values as a statement takes easily. */
const AT_ONCE = 100

/**
 * Puts the rows back that went with an entry, with the paths that their files have now; `before` is the entry as it lay in
 * the trash. Rows that stayed follow it to its place. Answers with the number of rows that are back; rows of a table that is
 * not there stay away. Throws RowRejected where another row stands in the way.
 */
export async function relinkRows(
  s: TxContext,
  before: EntryRow,
  restored: EntryRow,
): Promise<number> {
  const { workspaceId, id: entryId } = restored
  const parent = restored.parentId ? await entryById(s.tx, restored.parentId) : null
  const place = { from: before.originalPath ?? '', to: pathOf(restored, parent) }
  await moveRows(s, { workspaceId, entryId, ...place })
  let rows = 0
  for (const table of await tablesOf(s.tx, workspaceId)) {
    const taken = await takenFrom(s.tx, entryId, table)
    rows += taken.length
    for (let i = 0; i < taken.length; i += AT_ONCE) {
      await putBack(s, table, taken.slice(i, i + AT_ONCE), place)
    }
  }
  const details = { rows }
  if (rows > 0) {
    await record(s, { workspaceId, action: 'ROW_LINKED', entryId, path: place.to, details })
  }
  return rows
}

const takenFrom = (tx: Tx, entryId: string, { sqlName }: Table) =>
  tx
    .deleteFrom('takenRows')
    .where('entryId', '=', entryId)
    .where('sqlName', '=', sqlName)
    .returningAll()
    .execute()

type Place = { from: string; to: string }
type Returning = { key: number; then: Cells; now: Cells; links: RowLinkRow[] }

async function putBack(s: TxContext, table: Table, taken: Row<'takenRows'>[], place: Place) {
  const rows = taken.map((row) => returning(row, place))
  const paths = await pathsNow(
    s.tx,
    rows.flatMap(({ links }) => links.map(({ fileId }) => fileId)),
  )
  const links = rows.flatMap((row) => relinked(row, paths))
  const cells = rows.map(({ key, now }) => ({ ...known(table, now), [table.keyColumn]: key }))
  // The operator may have changed the table between two of them.
  const alike = Map.groupBy(cells, (row) => JSON.stringify(Object.keys(row)))
  for (const same of alike.values()) await insertRows(s.tx, table, same)
  await addLinks(s, links)
}

function returning(taken: Row<'takenRows'>, place: Place): Returning {
  const then = unpackedCells(taken.row)
  const now = { ...then, [taken.column]: movedCell(then[taken.column] ?? null, place) }
  return { key: taken.rowKey, then, now, links: JSON.parse(taken.links) }
}

const movedCell = (cell: Cell, { from, to }: Place): Cell =>
  typeof cell === 'string' && (cell === from || cell.startsWith(`${from}/`))
    ? to + cell.slice(from.length)
    : cell

/** Writes into the row where its files are now. Links of purged files, and of cells that had another path, are no more. */
function relinked({ then, now, links }: Returning, paths: ReadonlyMap<string, string>) {
  return links.flatMap((link) => {
    const { column, fileId } = link
    const path = paths.get(fileId)
    if (path === undefined || then[column] !== link.path) return []
    now[column] = path
    return [{ ...link, path }]
  })
}

const known = ({ columns }: Table, cells: Cells): Cells =>
  Object.fromEntries(
    columns.flatMap(({ name }) =>
      Object.hasOwn(cells, name) ? [[name, cells[name] ?? null]] : [],
    ),
  )

/** Where these files are; of those in the trash, where they were, which their rows follow from. Nothing for those that are gone. */
async function pathsNow(tx: Tx, fileIds: string[]): Promise<Map<string, string>> {
  if (fileIds.length === 0) return new Map()
  const there = (rows: (EntryRow | null)[]) => rows.flatMap((row) => row ?? [])
  const files = there(await entriesById(tx, fileIds))
  const parentIds = [...new Set(files.flatMap(({ parentId }) => parentId ?? []))]
  const found = parentIds.length > 0 ? there(await entriesById(tx, parentIds)) : []
  const parents = new Map(found.map((folder) => [folder.id, folder]))
  return new Map(
    files.map((file) => [file.id, pathOf(file, parents.get(file.parentId ?? '') ?? null)]),
  )
}
