import { type ExpressionBuilder, sql } from 'kysely'
import type { TxContext } from '../../context.ts'
import { idPrefix } from '../../database/ids.ts'
import type { Tables } from '../../database/tables.ts'
import { all, keyIn, pathMatches } from '../../database/user-tables/predicates.ts'
import { replacePrefix, updatePathPrefix } from '../../database/user-tables/rows.ts'
import { recorded } from '../activity/writes.ts'
import { entriesDeleted } from '../entries/trash.ts'
import { tablesOf } from './reads.ts'
import { pathColumns } from './rules.ts'

/** A move of an entry and its subtree from path `from` to path `to`. */
type Move = { workspaceId: string; entryId: string; from: string; to: string }

recorded.listen(async (_, { ctx, event }) => {
  const { action, entryId, path: to, workspaceId, details } = event
  if (action !== 'ENTRY_MOVED' && action !== 'ENTRY_UPDATED') return
  const { from } = JSON.parse(details)
  if (entryId === null || to === null || typeof from !== 'string') return
  await moveRows(ctx, { workspaceId, entryId, from, to })
})

/** Updates the paths in the cells that are linked to a moved entry or to live entries below it. */
export async function moveRows({ tx }: Pick<TxContext, 'tx'>, move: Move): Promise<void> {
  const { workspaceId, from, to } = move
  if (from === to) return
  const moved = tx.selectFrom('rowLinks').where((eb) => isMoved(eb, move))
  const columns = await moved.select(['sqlName', 'column']).distinct().execute()
  if (columns.length === 0) return
  const tables = await tablesOf(tx, workspaceId)
  for (const { sqlName, column } of columns) {
    const table = tables.find((known) => known.sqlName === sqlName)
    if (!table || !pathColumns(table).includes(column)) continue
    const own = moved.where('sqlName', '=', sqlName).where('column', '=', column)
    const pathMatch = pathMatches(tx, table, { column, path: from, below: isFolder(move) })
    const match = all([keyIn(table, own.select('rowKey')), pathMatch])
    await updatePathPrefix(tx, table, { column, match, from, to })
    await tx
      .updateTable('rowLinks')
      .set({ path: replacePrefix(sql.id('path'), from, to) })
      .where('sqlName', '=', sqlName)
      .where('column', '=', column)
      .where((eb) => isMoved(eb, move))
      .execute()
  }
}

const isFolder = ({ entryId }: Move) => idPrefix(entryId) === 'fld'

/**
 * Matches the links to update by their old paths. Does not match files in the trash, or files that once had
 * the same path.
 */
function isMoved(eb: ExpressionBuilder<Tables, 'rowLinks'>, move: Move) {
  const { workspaceId, entryId, from, to } = move
  if (!isFolder(move)) return eb.and([eb('fileId', '=', entryId), eb('path', '=', from)])
  const path = replacePrefix(sql.id('rowLinks', 'path'), from, to)
  return eb.and([
    eb('workspaceId', '=', workspaceId),
    eb('path', '>', `${from}/`),
    eb('path', '<', `${from}0`),
    eb.exists(
      eb
        .selectFrom('entries as f')
        .innerJoin('entries as p', 'p.id', 'f.parentId')
        .select('f.id')
        .whereRef('f.id', '=', 'rowLinks.fileId')
        .where('p.trashRootId', 'is', null)
        .where(sql<boolean>`p."path" || '/' || f."name" = ${path}`),
    ),
  ])
}

entriesDeleted.listen(async (tx, { ids }) => {
  await tx.deleteFrom('rowLinks').where('fileId', 'in', ids).execute()
  await tx.deleteFrom('takenRows').where('entryId', 'in', ids).execute()
})
