import type { ServiceContext, TxContext } from '../../context.ts'
import { newId } from '../../database/ids.ts'
import { batchesBy } from '../../database/query/batches.ts'
import { kindOf } from '../../database/query/entry-kinds.ts'
import type { EntryKind, NameConflictMode } from '../../database/tables.ts'
import { NameConflict } from '../../errors/entries.ts'
import { record } from '../activity/writes.ts'
import { type BatchEntry, type BatchMode, batch, type Outcome } from '../entries/batch.ts'
import { withInputPath } from '../entries/input-path.ts'
import { requireNotReplacingAncestor, resolveMove } from '../entries/moves.ts'
import {
  type EntryRef,
  type EntryRow,
  type FileRow,
  type FolderRow,
  pathOf,
  requireLiveFolder,
  selectEntries,
} from '../entries/reads.ts'
import type { EntryName } from '../entries/rules.ts'
import { addToAncestors, copyKinds } from '../entries/totals.ts'
import { insertEntry, insertFolder, resolveNameConflict, toWrite } from '../entries/writes.ts'
import { copyTags } from '../tags/writes.ts'
import { addUsed } from '../workspaces/writes.ts'
import { type VersionRow, versionsById } from './reads.ts'
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
  const copy = await copyInto(ctx, entry, folder, name)
  if (copy.kind === 'folder') await copyBelow(ctx, entry.id, copy)
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
  folder: FolderRow,
) {
  if (existing.kind === 'folder' || entry.kind === 'folder') {
    const { name } = existing
    throw new NameConflict({ name, existingId: existing.id, suggestedName: `${name} (2)` })
  }
  const { mediaType, sha256, size, blobId, contentModifiedAt } = await currentVersion(ctx, entry)
  const blob = { id: blobId, size, sha256 }
  const content = { blob, mediaType, mediaKind: entry.mediaKind, contentModifiedAt }
  return (await addVersion(ctx, { file: existing, parent: folder, ...content })).file
}

/** Copies the subtree below `fromId` breadth-first, in batches. Other requests run between two batches. */
async function copyBelow(ctx: TxContext, fromId: string, to: FolderRow): Promise<void> {
  const pairs: [string, FolderRow][] = [[fromId, to]]
  for (let pair = pairs.shift(); pair; pair = pairs.shift()) {
    const [sourceId, target] = pair
    await copyKinds(ctx, sourceId, target.id)
    for (const kind of ['file', 'folder'] as const) {
      for await (const child of children(ctx, sourceId, kind)) {
        const copy = await copyInto(ctx, child, target, child)
        if (copy.kind === 'folder') pairs.push([child.id, copy])
      }
    }
  }
}

async function* children({ tx }: TxContext, folderId: string, kind: EntryKind) {
  const read = (after: string) =>
    selectEntries(tx)
      .where('parentId', '=', folderId)
      .where('kind', '=', kindOf(kind))
      .where('nameKey', '>', after)
      .orderBy('nameKey')
      .limit(BATCH_SIZE)
      .execute()
  for await (const rows of batchesBy('nameKey', BATCH_SIZE, read)) yield* rows
}

/**
 * Copies the row of an entry with its tags and, for a file, the current version. Copies the totals of a
 * folder too, because its subtree follows.
 */
async function copyInto(
  ctx: TxContext,
  entry: EntryRow,
  folder: FolderRow,
  name: EntryName,
): Promise<EntryRow> {
  const copy =
    entry.kind === 'folder'
      ? await copyFolder(ctx, entry, folder, name)
      : await copyFile(ctx, entry, folder, name)
  await copyTags(ctx, entry.id, copy.id)
  return copy
}

function copyFolder(ctx: TxContext, original: FolderRow, parent: FolderRow, name: EntryName) {
  const { description, metadata, size, fileCount, folderCount } = original
  const details = { description, metadata, size, fileCount, folderCount }
  return insertFolder(ctx, parent, name, details)
}

async function copyFile(
  ctx: TxContext,
  original: FileRow,
  { id: parentId, workspaceId }: FolderRow,
  { name, nameKey }: EntryName,
): Promise<FileRow> {
  const { kind, description, metadata, size, mediaType, mediaKind, sha256 } = original
  const { contentModifiedAt } = original
  const details = { kind, description, metadata, contentModifiedAt }
  const content = { size, mediaType, mediaKind, sha256 }
  const place = { workspaceId, parentId, name, nameKey, versionId: newId('ver') }
  const copy = await insertEntry<FileRow>(ctx, { ...details, ...content, ...place })
  await copyVersion(ctx, await currentVersion(ctx, original), copy)
  return copy
}

async function currentVersion({ tx }: TxContext, { versionId }: FileRow): Promise<VersionRow> {
  const [version] = await versionsById(tx, [versionId])
  if (!version) throw new Error(`version ${versionId} does not exist`)
  return version
}

async function copyVersion({ tx, viewer, now }: TxContext, version: VersionRow, copy: FileRow) {
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
    .values({ ...version, ...overrides, id: copy.versionId, fileId: copy.id })
    .execute()
}
