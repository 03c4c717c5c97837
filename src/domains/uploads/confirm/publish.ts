import { inBatchedTransaction, type ServiceContext, type TxContext } from '../../../context.ts'
import { prepared } from '../../../database/query/prepared.ts'
import { afterCommit } from '../../../database/transaction.ts'
import { InvalidState } from '../../../errors/entries.ts'
import { withInputPath } from '../../entries/input-path.ts'
import { checkName } from '../../entries/rules.ts'
import { detectMediaType, type Media } from '../../files/media.ts'
import { addFile, addVersion, type FileResult } from '../../files/writes.ts'
import { ensureFolders } from '../../folders/writes.ts'
import { linkFile, type RowLink } from '../../tables/links.ts'
import { release } from '../../workspaces/writes.ts'
import { requireFolderName, requireTarget, requireVersioned } from '../create/targets.ts'
import { requireUnrevokedCreator } from '../creator.ts'
import type { UploadRow } from '../rules.ts'
import { dequeueConfirm } from './pending-confirms.ts'

/** The SHA-256 checksum and the detected media type of the bytes of an upload. */
export type Content = Media & { sha256: string }

/** Number of leading bytes that media type detection reads. */
const HEAD_BYTES = 4100

/** Computes the checksum of an upload and detects its media type. Throws StorageError. */
export async function inspectContent(
  { blobs }: ServiceContext,
  { id, offset, name }: UploadRow,
): Promise<Content> {
  // If the process died after it inserted the row, the blob of an empty upload does not exist yet.
  if (offset === 0) await blobs.stage(id, 0)
  const sha256 = await blobs.sha256(id, offset)
  const media = await detectMediaType(await blobs.peek(id, HEAD_BYTES), name)
  return { sha256, ...media }
}

/** Options of a confirm that take effect when the file is created. */
type PublishOptions = { comment?: string | null | undefined; linkRow?: RowLink | null | undefined }

/**
 * In one transaction, creates the file with its version, tags, linked row and activity, and completes the
 * upload.
 */
export const publish = (
  ctx: ServiceContext,
  claimed: UploadRow,
  content: Content,
  options: PublishOptions,
) =>
  inBatchedTransaction(ctx, [claimed.workspaceId], (s) => publishInTx(s, claimed, content, options))

/** Creates the file and completes the upload in the transaction of the caller. */
export async function publishInTx(
  s: TxContext,
  claimed: UploadRow,
  content: Content,
  { comment = null, linkRow }: PublishOptions,
): Promise<UploadRow> {
  await completeUpload(s, claimed)
  await requireUnrevokedCreator(s.tx, s.viewer)
  await dequeueConfirm(s.tx, claimed)
  const { file, version, ownBlobUsed } = await makeFile(s, claimed, content, comment)
  if (linkRow) await withInputPath('linkRow', linkFile(s, file, linkRow, claimed.id))
  // The workspace already has the content. The sweeper collects the blob if it cannot be removed now.
  if (!ownBlobUsed) afterCommit(s.tx, () => s.blobs.remove(claimed.id).catch(() => {}))
  const [upload] = await setFile(s.tx, claimed.id, file.id, version.id)
  if (!upload) throw new Error(`upload ${claimed.id} does not exist`)
  return upload
}

const setFile = prepared((db, id: string, fileId: string, versionId: string) =>
  db.updateTable('uploads').set({ fileId, versionId }).where('id', '=', id).returningAll(),
)

/**
 * Sets the status COMPLETE of a claimed upload and releases its reserved bytes. Call it first, because it
 * locks the row for the transaction. Throws InvalidState if the claim was lost.
 */
export async function completeUpload(ctx: TxContext, upload: UploadRow): Promise<void> {
  const { tx, now, limits } = ctx
  const { id, fence, autoConfirm, workspaceId, reservedBytes } = upload
  // Keep the tus resource long enough for the client to see that a late automatic confirm succeeded.
  const expiresAt = autoConfirm === 1 ? now() + limits.uploadTtlMs : upload.expiresAt
  const completed = await completeRow(tx, id, fence, now(), expiresAt)
  if (completed.length === 0) {
    throw new InvalidState('PROCESSING', 'another request is confirming this upload')
  }
  await release(ctx, workspaceId, reservedBytes)
}

const completeRow = prepared(
  (db, id: string, fence: number, confirmedAt: number, expiresAt: number) =>
    db
      .updateTable('uploads')
      .set({ status: 'COMPLETE', confirmedAt, expiresAt, leaseUntil: null, reservedBytes: 0 })
      .where('id', '=', id)
      .where('fence', '=', fence)
      .where('status', '=', 'PROCESSING')
      .returning('id'),
)

async function makeFile(
  s: TxContext,
  upload: UploadRow,
  { sha256, ...media }: Content,
  comment: string | null,
): Promise<FileResult> {
  const { id, workspaceId, versionOf, contentModifiedAt } = upload
  const blob = { id, size: upload.offset, sha256 }
  const version = { ...media, blob, comment, contentModifiedAt }
  if (versionOf) {
    const { file, parent } = await requireVersioned(s, { workspaceId, versionOf })
    return addVersion(s, { ...version, file, parent })
  }
  const { folder, below } = await requireTarget(s, upload)
  return addFile(s, {
    ...version,
    folder: await ensureFolders(s, folder, below, requireFolderName),
    name: checkName(upload.name),
    onConflict: upload.onConflict,
    description: upload.description,
    ...(upload.tags && { tags: JSON.parse(upload.tags) }),
    ...(upload.metadata && { metadata: JSON.parse(upload.metadata) }),
  })
}
