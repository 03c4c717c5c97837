import type { TxContext } from '../../context.ts'
import { hook } from '../../database/hook.ts'
import { record } from '../activity/writes.ts'
import { requireMaxDepth, updateSubtree, updateSubtreePaths } from './paths.ts'
import { type EntryRow, type FolderRow, pathOf, type TrashedRow } from './reads.ts'
import type { EntryName } from './rules.ts'
import { addToAncestors, countTrashed, subtractFromAncestors } from './totals.ts'

/**
 * Moves an entry with its subtree to the trash and returns its row. Updates the rows of the folders below it,
 * but not those of the files below it.
 */
export async function putInTrash(
  ctx: TxContext,
  entry: EntryRow,
  parent: FolderRow,
): Promise<TrashedRow> {
  const { tx, viewer, now } = ctx
  const path = pathOf(entry, parent)
  await subtractFromAncestors(ctx, entry, parent.id)
  await countTrashed(ctx, entry, 1)
  if (entry.kind === 'folder') await updateSubtree(ctx, entry, { trashRootId: entry.id })
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
    .$castTo<TrashedRow>()
    .executeTakeFirstOrThrow()
  await record(ctx, {
    workspaceId: entry.workspaceId,
    action: 'ENTRY_TRASHED',
    entryId: entry.id,
    path,
  })
  return trashed
}

/**
 * Moves a trashed entry into a folder, under a name that must be free there, and returns its row. Throws
 * InvalidInput if a folder would be too deep or its path too long.
 */
export async function restoreFromTrash(
  ctx: TxContext,
  entry: EntryRow,
  folder: FolderRow,
  name: EntryName,
): Promise<EntryRow> {
  const { tx } = ctx
  if (entry.kind === 'folder') {
    await requireMaxDepth(ctx, entry, folder, [])
    await updateSubtreePaths(ctx, entry, folder, name)
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
    .$castTo<EntryRow>()
    .executeTakeFirstOrThrow()
  await countTrashed(ctx, entry, -1)
  await addToAncestors(ctx, restored, folder.id)
  const { workspaceId, id: entryId } = entry
  await record(ctx, {
    workspaceId,
    action: 'ENTRY_RESTORED',
    entryId,
    path: pathOf(restored, folder),
  })
  return restored
}

/**
 * Hides a trashed entry and its subtree until their rows are deleted. Returns false if it is already being
 * purged, or if it was restored since it was read.
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

/** Called before rows of purged entries are deleted, so that other domains can delete their references. */
export const entriesDeleted = hook<{ ids: string[] }>()

/**
 * Deletes rows of purged entries. The children of a folder must be deleted before it. Clears originalParentId
 * of entries that were trashed from these folders separately.
 */
export async function deleteEntries({ tx }: TxContext, ids: string[]): Promise<void> {
  await entriesDeleted.call(tx, { ids })
  await tx
    .updateTable('entries')
    .set({ originalParentId: null })
    .where('originalParentId', 'in', ids)
    .where('trashedAt', 'is not', null)
    .execute()
  await tx.deleteFrom('entries').where('id', 'in', ids).execute()
}
