import { setImmediate as yieldToEventLoop } from 'node:timers/promises'
import type { ServiceContext, TxContext } from '../../context.ts'
import { newId } from '../../database/ids.ts'
import { kindOf } from '../../database/query/entry-kinds.ts'
import type { EntryKind, NameConflictMode } from '../../database/tables.ts'
import { NameConflict } from '../../errors/entries.ts'
import { record } from '../activity/writes.ts'
import { type BatchEntry, type BatchMode, batch, type Outcome } from '../entries/batch.ts'
import { withInputPath } from '../entries/input-path.ts'
import { requireNotReplacingAncestor, resolveMove } from '../entries/moves.ts'
import { type EntryRef, type EntryRow, pathOf, requireLiveFolder } from '../entries/reads.ts'
import type { EntryName } from '../entries/rules.ts'
import { addToAncestors, copyKinds } from '../entries/totals.ts'
import { folderColumns, insertEntry, resolveNameConflict, toWrite } from '../entries/writes.ts'
import { copyTags } from '../tags/writes.ts'
import { addUsed } from '../workspaces/writes.ts'
import { versionsById } from './reads.ts'
import { addVersion } from './writes.ts'

type Copies = {
  entries: readonly BatchEntry[]
  folder: EntryRef
  onConflict: NameConflictMode
  mode: BatchMode
}
const BATCH_SIZE = 500

/**
 * Copies 1 to 100 entries with their subtrees into a folder of the same workspace. A copy shares the stored
 * bytes and starts with version 1.
 */
export async function copyEntries(
  ctx: ServiceContext,
  { entries, folder, onConflict, mode }: Copies,
): Promise<Outcome[]> {
  await withInputPath('folder', requireLiveFolder(ctx.db, ctx.viewer, folder, toWrite))
  return batch(ctx, { entries, mode, folder }, (s, item) => copyEntry(s, item, folder, onConflict))
}

async function copyEntry(
  ctx: TxContext,
  item: BatchEntry,
  destination: EntryRef,
  onConflict: NameConflictMode,
): Promise<EntryRow> {
  const { entry, parent, folder } = await resolveMove(ctx, item, destination)
  if (onConflict === 'REPLACE') await requireNotReplacingAncestor(ctx, { entry, parent, folder })
  // A copy next to its original must not replace it.
  const mode = onConflict === 'REPLACE' && parent.id === folder.id ? 'FAIL' : onConflict
  const { name, existing } = await resolveNameConflict(ctx, folder, entry, mode)
  if (existing) return copyAsVersion(ctx, entry, existing, folder)
  await addUsed(ctx, entry.workspaceId, entry.size, { checkQuota: true })
  const [copy] = await copyInto(ctx, [entry], folder, name)
  if (!copy) throw new Error(`copying the entry ${entry.id} returned no row`)
  if (entry.kind === 'folder') await copyBelow(ctx, entry, copy)
  await addToAncestors(ctx, copy, folder.id)
  await record(ctx, {
    workspaceId: copy.workspaceId,
    action: 'ENTRY_COPIED',
    entryId: copy.id,
    path: pathOf(copy, folder),
    details: { from: pathOf(entry, parent), fromId: entry.id },
  })
  return copy
}

/** Implements NEW_VERSION: adds the bytes of `entry` as the next version of the file that has its name. */
async function copyAsVersion(
  ctx: TxContext,
  entry: EntryRow,
  existing: EntryRow,
  folder: EntryRow,
) {
  const [version] = await versionsById(ctx.tx, [entry.versionId ?? ''])
  if (!version || existing.kind === 'folder' || !entry.mediaKind) {
    const { name } = existing
    throw new NameConflict({ name, existingId: existing.id, suggestedName: `${name} (2)` })
  }
  const { mediaType, sha256, size } = version
  const blob = { id: version.blobId, size, sha256 }
  const added = { file: existing, parent: folder, blob, mediaType, mediaKind: entry.mediaKind }
  return (await addVersion(ctx, added)).file
}

/** Copies the subtree below `from` breadth-first, in batches. Other requests run between two batches. */
async function copyBelow(ctx: TxContext, from: EntryRow, to: EntryRow): Promise<void> {
  const pairs: [EntryRow, EntryRow][] = [[from, to]]
  for (let pair = pairs.shift(); pair; pair = pairs.shift()) {
    const [source, target] = pair
    await copyKinds(ctx, source.id, target.id)
    for await (const files of childBatches(ctx, source.id, 'file'))
      await copyInto(ctx, files, target)
    for await (const folders of childBatches(ctx, source.id, 'folder')) {
      const copies = await copyInto(ctx, folders, target)
      for (const [i, folder] of folders.entries()) pairs.push([folder, copies[i] as EntryRow])
    }
  }
}

/**
 * Yields the children of a folder in batches by name key. Reads each batch only when it is needed, because
 * copies may be added to the folder meanwhile.
 */
async function* childBatches({ tx }: TxContext, folderId: string, kind: EntryKind) {
  let after = ''
  while (true) {
    const rows = await tx
      .selectFrom('entries')
      .selectAll()
      .where('parentId', '=', folderId)
      .where('kind', '=', kindOf(kind))
      .where('nameKey', '>', after)
      .orderBy('nameKey')
      .limit(BATCH_SIZE)
      .execute()
    if (rows.length > 0) yield rows
    if (rows.length < BATCH_SIZE) return
    after = rows.at(-1)?.nameKey ?? ''
    await yieldToEventLoop()
  }
}

/**
 * Copies the rows of entries with their tags and, for files, the current version. Copies the totals of
 * folders too, because their subtrees follow.
 */
async function copyInto(
  ctx: TxContext,
  entries: readonly EntryRow[],
  folder: EntryRow,
  as?: EntryName,
): Promise<EntryRow[]> {
  const copies: EntryRow[] = []
  for (const entry of entries) {
    const { name, nameKey } = as ?? entry
    const { description, metadata, size, fileCount, folderCount } = entry
    const details = { description, metadata, size, fileCount, folderCount }
    const place =
      entry.kind === 'folder'
        ? folderColumns(folder, { name, nameKey })
        : fileColumns(folder, { name, nameKey })
    const { mediaType, mediaKind, sha256 } = entry
    const bytes =
      entry.kind === 'file' ? { mediaType, mediaKind, sha256, versionId: newId('ver') } : {}
    const copy = await insertEntry(ctx, { ...details, ...bytes, ...place })
    await copyTags(ctx, entry.id, copy.id)
    if (entry.versionId) await copyVersion(ctx, entry.versionId, copy)
    copies.push(copy)
  }
  return copies
}

const fileColumns = ({ id, workspaceId }: EntryRow, { name, nameKey }: EntryName) => ({
  workspaceId,
  kind: 'file' as const,
  parentId: id,
  name,
  nameKey,
})

async function copyVersion({ tx, viewer, now }: TxContext, versionId: string, copy: EntryRow) {
  const [version] = await versionsById(tx, [versionId])
  if (!version) throw new Error(`version ${versionId} does not exist`)
  await tx
    .updateTable('blobs')
    .set((eb) => ({ refs: eb('refs', '+', 1) }))
    .where('id', '=', version.blobId)
    .execute()
  const overrides = {
    number: 1,
    comment: null,
    createdAt: now(),
    createdBy: viewer?.userId ?? null,
  }
  await tx
    .insertInto('versions')
    .values({ ...version, ...overrides, id: copy.versionId ?? newId('ver'), fileId: copy.id })
    .execute()
}
