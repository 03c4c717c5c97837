import type { TxContext } from '../../context.ts'
import { hook } from '../../database/hook.ts'
import { record } from '../activity/writes.ts'
import { changeFolders, requireMaxDepth, updateSubtreePaths } from './paths.ts'
import { type EntryRow, pathOf } from './reads.ts'
import type { EntryName } from './rules.ts'
import { addToAncestors, countTrashed, subtractFromAncestors } from './totals.ts'

/** Takes an entry out of its folder with all it holds. Folders below it learn of it, files are not touched. */
export async function putInTrash(
  s: TxContext,
  entry: EntryRow,
  parent: EntryRow,
): Promise<EntryRow> {
  const { tx, viewer, now } = s
  const path = pathOf(entry, parent)
  await subtractFromAncestors(s, entry, parent.id)
  await countTrashed(s, entry, 1)
  if (entry.kind === 'folder') await changeFolders(s, entry, { trashRootId: entry.id })
  const trashed = await tx
    .updateTable('entries')
    .set((eb) => ({
      parentId: null,
      trashedAt: now(),
      trashedBy: viewer?.userId ?? null,
      originalParentId: parent.id,
      originalPath: path,
      revision: eb('revision', '+', 1),
    }))
    .where('id', '=', entry.id)
    .returningAll()
    .executeTakeFirstOrThrow()
  await record(s, {
    workspaceId: entry.workspaceId,
    action: 'ENTRY_TRASHED',
    entryId: entry.id,
    path,
  })
  return trashed
}

/** Puts a trashed entry into a folder under a name that is free there. */
export async function restoreFromTrash(
  s: TxContext,
  entry: EntryRow,
  folder: EntryRow,
  name: EntryName,
): Promise<EntryRow> {
  const { tx } = s
  if (entry.kind === 'folder') {
    await requireMaxDepth(s, entry, folder, [])
    await updateSubtreePaths(s, entry, folder, name)
  }
  const restored = await tx
    .updateTable('entries')
    .set((eb) => ({
      ...name,
      parentId: folder.id,
      trashedAt: null,
      trashedBy: null,
      originalParentId: null,
      originalPath: null,
      revision: eb('revision', '+', 1),
    }))
    .where('id', '=', entry.id)
    .returningAll()
    .executeTakeFirstOrThrow()
  await countTrashed(s, entry, -1)
  await addToAncestors(s, restored, folder.id)
  const { workspaceId, id: entryId } = entry
  await record(s, {
    workspaceId,
    action: 'ENTRY_RESTORED',
    entryId,
    path: pathOf(restored, folder),
  })
  return restored
}

/**
 * From now on nobody finds this trashed entry, nor what went with it; false where that was so already, or where it has been
 * restored since it was read.
 */
export async function markPurging(
  { tx, now }: TxContext,
  { id, revision }: EntryRow,
): Promise<boolean> {
  const { numUpdatedRows } = await tx
    .updateTable('entries')
    .set({ purgingAt: now() })
    .where('id', '=', id)
    .where('revision', '=', revision)
    .where('trashedAt', 'is not', null)
    .where('purgingAt', 'is', null)
    .executeTakeFirst()
  return numUpdatedRows > 0n
}

/** Called before rows of purged entries go: what juniors keep of them goes too. */
export const entriesForgotten = hook<{ ids: string[] }>()

/** Deletes rows of purged entries, children before their folders. What was trashed out of them on its own forgets where it was. */
export async function forgetEntries({ tx }: TxContext, ids: string[]): Promise<void> {
  await entriesForgotten.call(tx, { ids })
  await tx
    .updateTable('entries')
    .set({ originalParentId: null })
    .where('originalParentId', 'in', ids)
    .where('trashedAt', 'is not', null)
    .execute()
  await tx.deleteFrom('entries').where('id', 'in', ids).execute()
}
