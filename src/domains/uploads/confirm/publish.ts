import { inBatchedTransaction, type ServiceContext, type TxContext } from '../../../context.ts'
import { prepared } from '../../../database/query/prepared.ts'
import { afterCommit } from '../../../database/transaction.ts'
import { InvalidState } from '../../../errors.ts'
import { withInputPath } from '../../entries/input-path.ts'
import { checkName } from '../../entries/rules.ts'
import { detectMediaType, type Media } from '../../files/media.ts'
import { addFile, addVersion, type FileResult } from '../../files/writes.ts'
import { ensureFolders } from '../../folders/writes.ts'
import { linkFile, type RowLink } from '../../tables/links.ts'
import { release } from '../../workspaces/writes.ts'
import { requireTarget, requireVersioned } from '../create/targets.ts'
import { requireUnrevokedCreator } from '../creator.ts'
import type { UploadRow } from '../rules.ts'
import { dequeueConfirm } from './pending-confirms.ts'

/** What the bytes of an upload were found to be. */
export type Content = Media & { sha256: string }

/** So many of the first bytes tell the media type. */
const HEAD_BYTES = 4100

export async function inspectContent(
  { blobs }: ServiceContext,
  { id, offset, name }: UploadRow,
): Promise<Content> {
  // Of no bytes nothing may be there yet, where a process died between row and stage.
  if (offset === 0) await blobs.stage(id, 0)
  const sha256 = await blobs.sha256(id, offset)
  const media = await detectMediaType(await blobs.peek(id, HEAD_BYTES), name)
  return { sha256, ...media }
}

/** What whoever confirms wants beside the file. */
type Wishes = { comment?: string | null | undefined; linkRow?: RowLink | null | undefined }

/** One transaction: file, version, tags, linked row and activity, and the upload COMPLETE, are there at the same moment or not at all. */
export const publish = (
  ctx: ServiceContext,
  claimed: UploadRow,
  content: Content,
  wishes: Wishes,
) => inBatchedTransaction(ctx, claimed.workspaceId, (s) => publishIn(s, claimed, content, wishes))

/** The same in the transaction of the caller. */
export async function publishIn(
  s: TxContext,
  claimed: UploadRow,
  content: Content,
  { comment = null, linkRow }: Wishes,
): Promise<UploadRow> {
  await complete(s, claimed)
  await requireUnrevokedCreator(s.tx, s.viewer)
  await dequeueConfirm(s.tx, claimed)
  await release(s, claimed.workspaceId, claimed.reservedBytes)
  const { file, version, ownBlobUsed } = await makeFile(s, claimed, content, comment)
  if (linkRow) await withInputPath('linkRow', linkFile(s, file, linkRow, claimed.id))
  // The same content was here before; what cannot be removed now the sweeper takes.
  if (!ownBlobUsed) afterCommit(s.tx, () => s.blobs.remove(claimed.id).catch(() => {}))
  const [upload] = await nameFile(s.tx, claimed.id, file.id, version.id)
  return upload as UploadRow
}

const nameFile = prepared((db, id: string, fileId: string, versionId: string) =>
  db
    .updateTable('uploads')
    .set({ fileId, versionId, reservedBytes: 0 })
    .where('id', '=', id)
    .returningAll(),
)

/** The first statement claims the row for this transaction: whoever holds an older fence makes nothing. */
async function complete({ tx, now, limits }: TxContext, upload: UploadRow) {
  const { id, fence, autoConfirm } = upload
  // The client of a confirm that came late is to find out that it came.
  const expiresAt = autoConfirm === 1 ? now() + limits.uploadTtlMs : upload.expiresAt
  const completed = await completeRow(tx, id, fence, now(), expiresAt)
  if (completed.length === 0) {
    throw new InvalidState('PROCESSING', 'another request confirms this upload at this moment')
  }
}

const completeRow = prepared(
  (db, id: string, fence: number, confirmedAt: number, expiresAt: number) =>
    db
      .updateTable('uploads')
      .set({ status: 'COMPLETE', confirmedAt, expiresAt, leaseUntil: null })
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
  const { id, workspaceId, versionOf } = upload
  const version = { ...media, blob: { id, size: upload.offset, sha256 }, comment }
  if (versionOf) {
    const { file, parent } = await requireVersioned(s, { workspaceId, versionOf })
    return addVersion(s, { ...version, file, parent })
  }
  const { folder, below } = await requireTarget(s, upload)
  return addFile(s, {
    ...version,
    folder: await ensureFolders(s, folder, below),
    name: checkName(upload.name),
    onConflict: upload.onConflict,
    description: upload.description,
    ...(upload.tags && { tags: JSON.parse(upload.tags) }),
    ...(upload.metadata && { metadata: JSON.parse(upload.metadata) }),
  })
}
