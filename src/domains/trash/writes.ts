import type { ServiceContext, TxContext } from '../../context.ts'
import type { NameConflictMode } from '../../database/tables.ts'
import { InvalidState, NotEmpty } from '../../errors/entries.ts'
import { InvalidInput } from '../../errors/input.ts'
import { type BatchEntry, type BatchMode, batch, type Outcome } from '../entries/batch.ts'
import { withInputPath } from '../entries/input-path.ts'
import {
  type EntryRef,
  type EntryRow,
  type FolderRow,
  folderById,
  isTrashed,
  requireEntry,
  requireLive,
  requireLiveFolder,
  type TrashedRow,
} from '../entries/reads.ts'
import { checkEntryPath } from '../entries/rules.ts'
import { putInTrash, restoreFromTrash } from '../entries/trash.ts'
import { checkRevision, requireParent, resolveNameConflict, toWrite } from '../entries/writes.ts'
import { restoreFolders } from '../folders/writes.ts'
import { relinkRows } from '../tables/relinks.ts'
import { type RowUnlink, unlinkRows } from '../tables/unlink.ts'

type TrashInput = {
  entries: readonly BatchEntry[]
  recursive: boolean
  unlinkRows?: RowUnlink | null | undefined
  mode: BatchMode
}

/**
 * Moves 1 to 100 entries with their subtrees to the trash. Without `recursive`, throws NotEmpty for a folder
 * that is not empty. With `unlinkRows`, also deletes the table rows that contain the paths of the entries,
 * and saves them until the entries are restored or purged.
 */
export async function trashEntries(
  ctx: ServiceContext,
  { entries, recursive, unlinkRows: unlink, mode }: TrashInput,
): Promise<{ results: Outcome[]; rowsUnlinked: number }> {
  const rows = new Map<string, number>()
  const results = await batch(
    ctx,
    { entries, mode },
    async (s, { entry: ref, expectedRevision }) => {
      const found = await requireLive(s.tx, s.viewer, ref, toWrite)
      const [entry, parent] = [found.entry, requireParent(found)]
      checkRevision(entry, expectedRevision)
      const entryCount = entry.fileCount + entry.folderCount
      if (entryCount > 0 && !recursive) throw new NotEmpty(entryCount)
      const trashed = await putInTrash(s, entry, parent)
      if (unlink)
        rows.set(entry.id, await withInputPath('unlinkRows', unlinkRows(s, trashed, unlink)))
      return trashed
    },
  )
  return { results, rowsUnlinked: sumOfSucceeded(results, rows) }
}

const sumOfSucceeded = (results: readonly Outcome[], rows: ReadonlyMap<string, number>) =>
  results.reduce((sum, { entry }) => sum + ((entry && rows.get(entry.id)) ?? 0), 0)

type RestoreInput = {
  entries: readonly BatchEntry[]
  fallbackFolder?: EntryRef | null | undefined
  onConflict: NameConflictMode
  mode: BatchMode
}

/**
 * Restores 1 to 100 entries to their original folders, with the table rows that were deleted with them. If
 * the original folder no longer exists or is in the trash, restores the entry to `fallbackFolder`; without
 * it, creates the folders of the original path again.
 */
export async function restoreEntries(
  ctx: ServiceContext,
  { entries, fallbackFolder, onConflict, mode }: RestoreInput,
): Promise<{ results: Outcome[]; rowsRelinked: number }> {
  if (onConflict === 'NEW_VERSION') {
    const message = 'restoreEntries does not support NEW_VERSION; use FAIL, RENAME or REPLACE'
    throw new InvalidInput({ path: ['onConflict'], message })
  }
  const rows = new Map<string, number>()
  const restore = async (s: TxContext, item: BatchEntry) => {
    const entry = await requireTrashed(s, item, toWrite)
    const folder = await restoreTarget(s, entry, fallbackFolder)
    const { name } = await resolveNameConflict(s, folder, entry, onConflict)
    const { name: displayName, nameKey } = name
    const restored = await restoreFromTrash(s, entry, folder, { name: displayName, nameKey })
    rows.set(entry.id, await relinkRows(s, entry, restored))
    return restored
  }
  const results = await batch(ctx, { entries, mode, folder: fallbackFolder }, restore)
  return { results, rowsRelinked: sumOfSucceeded(results, rows) }
}

/**
 * Returns a directly trashed entry. Throws NotFound, Forbidden, StaleRevision, InvalidInput for a path, and
 * InvalidState for an entry that was not trashed directly.
 */
export async function requireTrashed(
  ctx: TxContext,
  { entry: ref, expectedRevision }: BatchEntry,
  need: Parameters<typeof requireEntry>[3],
): Promise<TrashedRow> {
  if (ref.id == null) {
    const message = 'an entry in the trash has no path: refer to it by id'
    throw new InvalidInput({ path: ['entry', 'path'], message })
  }
  const { entry } = await requireEntry(ctx.tx, ctx.viewer, ref.id, need)
  checkRevision(entry, expectedRevision)
  if (isTrashed(entry)) return entry
  throw new InvalidState('NOT_TRASHED', 'the entry was not moved to the trash directly')
}

async function restoreTarget(
  ctx: TxContext,
  entry: TrashedRow,
  fallback: EntryRef | null | undefined,
): Promise<FolderRow> {
  const original = await folderById(ctx.tx, entry.originalParentId)
  if (original && original.trashRootId === null) return original
  if (fallback) return requireFallback(ctx, entry, fallback)
  const { entry: root } = await requireLiveFolder(ctx.tx, ctx.viewer, rootOf(entry), toWrite)
  return restoreFolders(ctx, root, checkEntryPath(entry.originalPath).slice(0, -1))
}

async function requireFallback(ctx: TxContext, entry: EntryRow, fallback: EntryRef) {
  const found = requireLiveFolder(ctx.tx, ctx.viewer, fallback, toWrite)
  const { entry: folder } = await withInputPath('fallbackFolder', found)
  if (folder.workspaceId === entry.workspaceId) return folder
  const message = 'fallbackFolder is in another workspace'
  throw new InvalidInput({ path: ['fallbackFolder'], message })
}

const rootOf = ({ workspaceId }: EntryRow): EntryRef => ({ path: { workspaceId, path: '' } })
