import type { BlobStore } from '../../blobs/blob-store.ts'
import { inLockedTransaction, type ServiceContext, type TxContext } from '../../context.ts'
import { InvalidState } from '../../errors/entries.ts'
import { record } from '../activity/writes.ts'
import { release } from '../workspaces/writes.ts'
import { hastenConcat } from './concat/concat-parts-job.ts'
import { dequeueConfirm } from './confirm/pending-confirms.ts'
import { isOverdue, requireOwnUpload } from './reads.ts'
import { isFinal, statusesBefore, type UploadRow } from './rules.ts'

/**
 * Cancels an upload of the viewer, deletes its bytes and releases its reserved space. Idempotent. Throws
 * NotFound, Forbidden, and InvalidState if the upload is confirmed or being confirmed.
 */
export async function cancelUpload(ctx: ServiceContext, uploadId: string): Promise<UploadRow> {
  const upload = await requireOwnUpload(ctx.db, ctx.viewer, uploadId)
  const { id, workspaceId } = upload
  const ended = await failUpload(ctx, { id, workspaceId }, { status: 'CANCELED', code: 'CANCELED' })
  if (ended) return ended
  const { status } = await requireOwnUpload(ctx.db, ctx.viewer, uploadId)
  if (status === 'COMPLETE' || status === 'PROCESSING') {
    throw new InvalidState(status, 'the upload is confirmed or is being confirmed')
  }
  return { ...upload, status }
}

/** Expires the tus resource of a confirmed upload. The file stays. */
export async function expireResource(
  { db, now }: ServiceContext,
  { id }: UploadRow,
): Promise<void> {
  const expired = { expiresAt: now() }
  await db
    .updateTable('uploads')
    .set(expired)
    .where('id', '=', id)
    .where('status', '=', 'COMPLETE')
    .execute()
}

type EndStatus = 'CANCELED' | 'EXPIRED' | 'FAILED'
type TerminationChanges = Partial<Pick<UploadRow, 'idempotencyKey' | 'failures'>>

/**
 * Ends an upload without a file and releases its reserved space. Returns null if its status does not allow
 * that, or if `fence` is given and outdated. An ended upload never becomes a file, so its bytes may be
 * deleted.
 */
export async function terminateUpload(
  s: TxContext,
  { id, fence }: { id: string; fence?: number },
  status: EndStatus,
  changes: TerminationChanges = {},
): Promise<UploadRow | null> {
  const ended = await s.tx
    .updateTable('uploads')
    .set((eb) => ({ ...changes, status, fence: eb('fence', '+', 1), leaseUntil: null }))
    .where('id', '=', id)
    .where('status', 'in', statusesBefore(status))
    .$call((q) => (fence === undefined ? q : q.where('fence', '=', fence)))
    .$if(status === 'EXPIRED', (q) => q.where((eb) => isOverdue(eb, s.now())))
    .returningAll()
    .executeTakeFirst()
  if (!ended) return null
  await dequeueConfirm(s.tx, ended)
  // The job ends the parts, whose space was reserved by this upload.
  if (isFinal(ended)) await hastenConcat(s.tx, id)
  await release(s, ended.workspaceId, ended.reservedBytes)
  await s.tx.updateTable('uploads').set({ reservedBytes: 0 }).where('id', '=', id).execute()
  return { ...ended, reservedBytes: 0 }
}

type Failure = { status: EndStatus; code: string; changes?: TerminationChanges }

/**
 * Ends an upload without a file like terminateUpload, in a transaction of its own, logs it with the error
 * code, and deletes its bytes.
 */
export async function failUpload(
  ctx: ServiceContext,
  upload: { id: string; workspaceId: string; fence?: number },
  { status, code, changes }: Failure,
): Promise<UploadRow | null> {
  const ended = await inLockedTransaction(ctx, [upload.workspaceId], async (s) => {
    const ended = await terminateUpload(s, upload, status, changes)
    if (ended) await recordFailure(s, ended, code)
    return ended
  })
  if (ended) await deleteBytes(ctx.blobs, upload.id)
  return ended
}

/** Logs that an upload ended without a file. `code` is the error code. */
export const recordFailure = (
  s: TxContext,
  { id: uploadId, workspaceId, name }: UploadRow,
  code: string,
) => record(s, { workspaceId, action: 'UPLOAD_FAILED', details: { uploadId, name, code } })

/**
 * Discards the staged bytes of an upload that ended without a file. Leaves committed bytes to the sweeper,
 * which moves them to quarantine: if an old copy of the database is running by mistake, they may belong to a
 * file of the current one. The sweeper also collects the bytes if they cannot be discarded.
 */
export async function deleteBytes(blobs: BlobStore, id: string): Promise<void> {
  await blobs.discard(id).catch(() => {})
}

/**
 * Deletes the bytes of a partial upload, including committed ones: they never belong to a file in any state
 * of the database.
 */
export async function deletePart(blobs: BlobStore, id: string): Promise<void> {
  await Promise.allSettled([blobs.discard(id), blobs.remove(id)])
}
