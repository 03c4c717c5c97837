import type { ServiceContext, TxContext } from '../../context.ts'
import type { NameConflictMode } from '../../database/tables.ts'
import { Cycle } from '../../errors/entries.ts'
import { InvalidInput } from '../../errors/input.ts'
import { record } from '../activity/writes.ts'
import { type BatchEntry, type BatchMode, batch, type Outcome } from './batch.ts'
import { withInputPath } from './input-path.ts'
import { requireMaxDepth, updateSubtreePaths } from './paths.ts'
import {
  childByKey,
  type EntryRef,
  type EntryRow,
  type FolderRow,
  pathOf,
  requireLive,
  requireLiveFolder,
} from './reads.ts'
import { isWithin } from './rules.ts'
import { addToAncestors, subtractFromAncestors } from './totals.ts'
import {
  bumpRevision,
  checkRevision,
  requireParent,
  resolveNameConflict,
  toWrite,
} from './writes.ts'

type Moves = {
  entries: readonly BatchEntry[]
  folder: EntryRef
  onConflict: NameConflictMode
  mode: BatchMode
}

/**
 * Moves 1 to 100 entries into a folder of the same workspace. Throws NotFound, Forbidden and InvalidState for
 * the folder, and InvalidInput for NEW_VERSION.
 */
export async function moveEntries(
  ctx: ServiceContext,
  { entries, folder, onConflict, mode }: Moves,
): Promise<Outcome[]> {
  if (onConflict === 'NEW_VERSION') {
    const message = 'moveEntries does not support NEW_VERSION; use FAIL, RENAME or REPLACE'
    throw new InvalidInput({ path: ['onConflict'], message })
  }
  await withInputPath('folder', requireLiveFolder(ctx.db, ctx.viewer, folder, toWrite))
  return batch(ctx, { entries, mode, folder }, (s, item) => moveEntry(s, item, folder, onConflict))
}

async function moveEntry(
  ctx: TxContext,
  item: BatchEntry,
  destination: EntryRef,
  onConflict: NameConflictMode,
): Promise<EntryRow> {
  const { entry, parent, folder } = await resolveMove(ctx, item, destination)
  if (parent.id === folder.id) return entry
  if (onConflict === 'REPLACE') await requireNotReplacingAncestor(ctx, { entry, parent, folder })
  const { name } = await resolveNameConflict(ctx, folder, entry, onConflict)
  await subtractFromAncestors(ctx, entry, parent.id)
  const pathColumns =
    entry.kind === 'folder' ? await updateSubtreePaths(ctx, entry, folder, name) : {}
  const { name: displayName, nameKey } = name
  const moved = await bumpRevision(ctx, entry, {
    name: displayName,
    nameKey,
    ...pathColumns,
    parentId: folder.id,
  })
  await addToAncestors(ctx, moved, folder.id)
  await record(ctx, {
    workspaceId: entry.workspaceId,
    action: 'ENTRY_MOVED',
    entryId: entry.id,
    path: pathOf(moved, folder),
    details: { from: pathOf(entry, parent) },
  })
  return moved
}

/** The entry to move, its current parent and its destination. */
export type ResolvedMove = { entry: EntryRow; parent: FolderRow; folder: FolderRow }

/**
 * Loads and authorises an entry to move or copy and its destination. Throws NotFound, Forbidden,
 * StaleRevision, InvalidState for the root of a workspace, InvalidInput if the destination is in another
 * workspace or the path would be too deep, and Cycle for a folder that would be put into itself.
 */
export async function resolveMove(
  ctx: TxContext,
  { entry: ref, expectedRevision }: BatchEntry,
  destination: EntryRef,
): Promise<ResolvedMove> {
  const found = await requireLive(ctx.tx, ctx.viewer, ref, toWrite)
  const { entry: folder } = await requireLiveFolder(ctx.tx, ctx.viewer, destination, toWrite)
  const [entry, parent] = [found.entry, requireParent(found)]
  checkRevision(entry, expectedRevision)
  if (entry.workspaceId !== folder.workspaceId) {
    const message = 'the folder is in another workspace'
    throw new InvalidInput({ path: ['folder'], message })
  }
  if (entry.kind === 'folder' && isWithin(folder, entry)) throw new Cycle()
  if (entry.kind === 'folder' && parent.id !== folder.id) await requireMaxDepth(ctx, entry, folder)
  return { entry, parent, folder }
}

/** Throws Cycle if an entry would replace a folder that contains it. */
export async function requireNotReplacingAncestor(
  ctx: TxContext,
  { entry, parent, folder }: ResolvedMove,
): Promise<void> {
  const existing = await childByKey(ctx.tx, folder.id, entry.nameKey)
  if (existing?.kind === 'folder' && isWithin(parent, existing)) throw new Cycle()
}
