import type { ServiceContext, TxContext } from '../../context.ts'
import { newId } from '../../database/ids.ts'
import type { NameConflictMode } from '../../database/tables.ts'
import { InvalidState, NameConflict } from '../../errors/entries.ts'
import { record } from '../activity/writes.ts'
import { type FileRow, type FolderRow, pathOf, trashRootOf } from '../entries/reads.ts'
import { checkDescription, checkMetadata, type EntryName, mergeMetadata } from '../entries/rules.ts'
import { addKind, addToAncestors, addTotals } from '../entries/totals.ts'
import { inEntryTransaction } from '../entries/transaction.ts'
import {
  bumpRevision,
  checkRevision,
  insertEntry,
  resolveNameConflict,
  toWrite,
} from '../entries/writes.ts'
import type { TagName } from '../tags/rules.ts'
import { addTags } from '../tags/writes.ts'
import { addUsed } from '../workspaces/writes.ts'
import { addReference, type Blob, dropReferences } from './blobs.ts'
import { kindOf, type Media } from './media.ts'
import { NONEXISTENT_FILE_ID, requireVersion, type VersionRow, versionsById } from './reads.ts'

type NewVersion = Media & {
  blob: Blob
  comment?: string | null | undefined
  /** When the client last modified the content, in milliseconds since 1970; null or undefined if unknown. */
  contentModifiedAt?: number | null | undefined
  /** Minimum version number. Versions from an archive keep their numbers, including gaps. */
  number?: number | undefined
}
type NewFile = NewVersion & {
  folder: FolderRow
  name: EntryName
  onConflict: NameConflictMode
  description?: string | null | undefined
  tags?: readonly TagName[] | undefined
  metadata?: Record<string, unknown> | undefined
}
/** A file with its new version. `ownBlobUsed` is false if the workspace already had the same bytes. */
export type FileResult = { file: FileRow; version: VersionRow; ownBlobUsed: boolean }

/**
 * Adds committed bytes as a file in `folder`, or with NEW_VERSION as the next version of the file that has
 * this name, and charges them to the quota. Throws NameConflict, InvalidInput and QuotaExceeded.
 */
export async function addFile(
  ctx: TxContext,
  { folder, onConflict, ...input }: NewFile,
): Promise<FileResult> {
  const { name, existing } = await resolveNameConflict(ctx, folder, input.name, onConflict)
  if (existing?.kind === 'folder') {
    const { id: existingId } = existing
    throw new NameConflict({ name: name.name, existingId, suggestedName: `${name.name} (2)` })
  }
  if (!existing) return createFile(ctx, folder, { ...input, name })
  const { id: entryId, workspaceId } = existing
  if (input.tags) await addTags(ctx, { workspaceId, entryId, tags: input.tags })
  return addVersion(ctx, { ...input, file: existing, parent: folder })
}

async function createFile(
  ctx: TxContext,
  folder: FolderRow,
  { name, description, metadata, ...input }: Omit<NewFile, 'folder' | 'onConflict'>,
): Promise<FileResult> {
  const { workspaceId } = folder
  const { size, sha256 } = input.blob
  const { mediaType, mediaKind } = input
  await addUsed(ctx, workspaceId, size, { checkQuota: true })
  const file = await insertEntry<FileRow>(ctx, {
    workspaceId,
    kind: 'file',
    parentId: folder.id,
    ...name,
    ...(description != null && { description: checkDescription(description) }),
    ...(metadata != null && { metadata: checkMetadata(mergeMetadata({}, metadata)) }),
    size,
    sha256,
    mediaType,
    mediaKind,
    versionId: newId('ver'),
    contentModifiedAt: input.contentModifiedAt ?? null,
  })
  const { version, ownBlobUsed } = await insertVersion(ctx, file, {
    ...input,
    number: input.number ?? 1,
  })
  await addToAncestors(ctx, file, folder.id)
  if (input.tags) await addTags(ctx, { workspaceId, entryId: file.id, tags: input.tags })
  await record(ctx, {
    workspaceId,
    action: 'FILE_CREATED',
    entryId: file.id,
    path: pathOf(file, folder),
  })
  return { file, version, ownBlobUsed }
}

/**
 * Adds committed bytes as the current version of a live file and charges them to the quota. Throws
 * QuotaExceeded.
 */
export async function addVersion(
  ctx: TxContext,
  { file, parent, ...input }: NewVersion & { file: FileRow; parent: FolderRow },
  action: 'VERSION_ADDED' | 'VERSION_RESTORED' = 'VERSION_ADDED',
): Promise<FileResult> {
  const { workspaceId, id } = file
  await addUsed(ctx, workspaceId, input.blob.size, { checkQuota: true })
  const number = Math.max((await latestNumber(ctx, id)) + 1, input.number ?? 1)
  const next = await insertVersion(ctx, { ...file, versionId: newId('ver') }, { ...input, number })
  const current = await makeCurrent(ctx, file, parent, next.version, input)
  await record(ctx, {
    workspaceId,
    action,
    entryId: id,
    path: pathOf(current, parent),
    details: { versionId: next.version.id, number },
  })
  return { file: current, ...next }
}

async function insertVersion(
  ctx: TxContext,
  file: FileRow,
  {
    blob,
    mediaType,
    number,
    comment = null,
    contentModifiedAt = null,
  }: NewVersion & { number: number },
): Promise<{ version: VersionRow; ownBlobUsed: boolean }> {
  const blobId = await addReference(ctx, file.workspaceId, blob)
  const version = await ctx.tx
    .insertInto('versions')
    .values({
      id: file.versionId,
      workspaceId: file.workspaceId,
      fileId: file.id,
      number,
      size: blob.size,
      mediaType,
      sha256: blob.sha256,
      blobId,
      comment,
      createdAt: ctx.now(),
      createdBy: ctx.viewer?.userId ?? null,
      contentModifiedAt,
    })
    .returningAll()
    .executeTakeFirstOrThrow()
  return { version, ownBlobUsed: blobId === blob.id }
}

async function latestNumber({ tx }: TxContext, fileId: string): Promise<number> {
  const newest = await tx
    .selectFrom('versions')
    .select('number')
    .where('fileId', '=', fileId)
    .orderBy('number', 'desc')
    .limit(1)
    .executeTakeFirst()
  return newest?.number ?? 0
}

/**
 * Sets the current version of a file and adjusts the totals of the folders above, which include older
 * versions.
 */
async function makeCurrent(
  ctx: TxContext,
  file: FileRow,
  parent: FolderRow,
  { id: versionId, size, sha256, contentModifiedAt }: VersionRow,
  { mediaType, mediaKind }: Media,
): Promise<FileRow> {
  const grown = { size: size - file.size, olderBytes: file.size }
  await addTotals(ctx, parent.id, { ...grown, fileCount: 0, folderCount: 0 })
  await addKind(ctx, parent.id, file.mediaKind, { bytes: -file.size, fileCount: -1 })
  await addKind(ctx, parent.id, mediaKind, { bytes: size, fileCount: 1 })
  const olderBytes = file.olderBytes + file.size
  const content = { versionId, size, sha256, mediaType, mediaKind, contentModifiedAt }
  return bumpRevision(ctx, file, { ...content, olderBytes })
}

type RestoreVersionInput = {
  versionId: string
  comment?: string | null | undefined
  expectedRevision?: number | null | undefined
}

/**
 * Adds the bytes of an older version as the new current version. Throws NotFound, Forbidden, InvalidInput,
 * InvalidState, StaleRevision and QuotaExceeded.
 */
export async function restoreVersion(
  ctx: ServiceContext,
  { versionId, comment, expectedRevision }: RestoreVersionInput,
): Promise<FileResult> {
  checkDescription(comment ?? '', ['comment'])
  return inVersionTransaction(ctx, versionId, async (s) => {
    const { entry: file, parent, version } = await requireLiveVersion(s, versionId)
    checkRevision(file, expectedRevision)
    const blob = { id: version.blobId, size: version.size, sha256: version.sha256 }
    const { mediaType, contentModifiedAt } = version
    const media = { mediaType, mediaKind: kindOf(mediaType) }
    const restored = { file, parent, blob, ...media, comment, contentModifiedAt }
    return addVersion(s, restored, 'VERSION_RESTORED')
  })
}

/**
 * Deletes an older version. Its bytes are deleted with their last reference. Throws NotFound, Forbidden, and
 * InvalidState for the current version or a trashed file.
 */
export async function deleteVersion(
  ctx: ServiceContext,
  versionId: string,
): Promise<{ file: FileRow; version: VersionRow }> {
  return inVersionTransaction(ctx, versionId, async (s) => {
    const { entry, parent, version } = await requireLiveVersion(s, versionId)
    if (entry.versionId === versionId) {
      throw new InvalidState(
        'CURRENT',
        'the current version cannot be deleted; restore another version first',
      )
    }
    await s.tx.deleteFrom('versions').where('id', '=', versionId).execute()
    await dropReferences(s, entry.workspaceId, new Map([[version.blobId, 1]]))
    await addUsed(s, entry.workspaceId, -version.size, { checkQuota: false })
    const difference = { size: 0, olderBytes: -version.size, fileCount: 0, folderCount: 0 }
    await addTotals(s, parent.id, difference)
    const file = await bumpRevision(s, entry, { olderBytes: entry.olderBytes - version.size })
    const details = { changed: ['versions'], number: version.number }
    const path = pathOf(file, parent)
    const { workspaceId, id: entryId } = file
    await record(s, { workspaceId, action: 'ENTRY_UPDATED', entryId, path, details })
    return { file, version }
  })
}

async function inVersionTransaction<T>(
  ctx: ServiceContext,
  versionId: string,
  fn: (ctx: TxContext) => Promise<T>,
): Promise<T> {
  const [version] = await versionsById(ctx.db, [versionId])
  return inEntryTransaction(ctx, [{ id: version?.fileId ?? NONEXISTENT_FILE_ID }], fn)
}

async function requireLiveVersion(ctx: TxContext, versionId: string) {
  const { parent, ...found } = await requireVersion(ctx.tx, ctx.viewer, versionId, toWrite)
  if (!parent || trashRootOf(found.entry, parent)) {
    throw new InvalidState('TRASHED', 'the file is in the trash; restore it first')
  }
  return { ...found, parent }
}

/** Deletes all versions of purged files. Their bytes are deleted with their last references. */
export async function deleteVersions(
  ctx: TxContext,
  workspaceId: string,
  fileIds: string[],
): Promise<void> {
  const versions = await ctx.tx
    .deleteFrom('versions')
    .where('fileId', 'in', fileIds)
    .returning('blobId')
    .execute()
  const byBlob = Map.groupBy(versions, ({ blobId }) => blobId)
  const counts = [...byBlob].map(([id, rows]) => [id, rows.length] as const)
  await dropReferences(ctx, workspaceId, new Map(counts))
}
