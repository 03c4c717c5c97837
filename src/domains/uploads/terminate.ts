import type { BlobStore } from '../../blobs/blob-store.ts'
import { inTransaction, type ServiceContext, type TxContext } from '../../context.ts'
import { InvalidState } from '../../errors.ts'
import { record } from '../activity/writes.ts'
import { release } from '../workspaces/writes.ts'
import { dequeueConfirm } from './confirm/pending-confirms.ts'
import { isOverdue, requireOwnUpload } from './reads.ts'
import { statusesBefore, type UploadRow } from './rules.ts'

/** Drops an upload with its bytes and gives its room back; again does no harm. InvalidState once it is confirmed. */
export async function cancelUpload(ctx: ServiceContext, uploadId: string): Promise<UploadRow> {
  const upload = await requireOwnUpload(ctx.db, ctx.viewer, uploadId)
  const ended = await inTransaction(ctx, async (s) => {
    const ended = await terminateUpload(s, { id: upload.id }, 'CANCELED')
    if (ended) await recordFailure(s, ended, 'CANCELED')
    return ended
  })
  if (ended) await deleteBytes(ctx.blobs, upload.id)
  if (ended) return ended
  const { status } = await requireOwnUpload(ctx.db, ctx.viewer, uploadId)
  if (status === 'COMPLETE' || status === 'PROCESSING') {
    throw new InvalidState(status, 'it is a file already, or becomes one at this moment')
  }
  return { ...upload, status }
}

/** The tus resource of a confirmed upload goes; its file stays. */
export async function expireResource(
  { db, now }: ServiceContext,
  { id }: UploadRow,
): Promise<void> {
  const over = { expiresAt: now() }
  await db
    .updateTable('uploads')
    .set(over)
    .where('id', '=', id)
    .where('status', '=', 'COMPLETE')
    .execute()
}

type Ending = Partial<Pick<UploadRow, 'idempotencyKey' | 'failures'>>

/**
 * Ends an upload without a file and gives back what was reserved; null where it cannot end so (any more), or `fence` is
 * given and is not its own. Once ended, nobody makes a file of it: its bytes may go.
 */
export async function terminateUpload(
  s: TxContext,
  { id, fence }: { id: string; fence?: number },
  status: 'CANCELED' | 'EXPIRED' | 'FAILED',
  changes: Ending = {},
): Promise<UploadRow | null> {
  const ended = await s.tx
    .updateTable('uploads')
    .set((eb) => ({ ...changes, status, fence: eb('fence', '+', 1), leaseUntil: null }))
    .where('id', '=', id)
    .where('status', 'in', statusesBefore(status))
    .$if(fence !== undefined, (q) => q.where('fence', '=', fence ?? 0))
    .$if(status === 'EXPIRED', (q) => q.where((eb) => isOverdue(eb, s.now())))
    .returningAll()
    .executeTakeFirst()
  if (!ended) return null
  await dequeueConfirm(s.tx, ended)
  await release(s, ended.workspaceId, ended.reservedBytes)
  await s.tx.updateTable('uploads').set({ reservedBytes: 0 }).where('id', '=', id).execute()
  return { ...ended, reservedBytes: 0 }
}

/** The log learns of an upload that will make no file, and why. */
export const recordFailure = (
  s: TxContext,
  { id: uploadId, workspaceId, name }: UploadRow,
  code: string,
) => record(s, { workspaceId, action: 'UPLOAD_FAILED', details: { uploadId, name, code } })

/**
 * Discards the staged bytes of an upload that made no file. Kept ones are left to the sweeper and so to quarantine: in a later state
 * of this database, of which an older copy runs by mistake, they may be those of a file. What a fault leaves the sweeper takes, too.
 */
export async function deleteBytes(blobs: BlobStore, id: string): Promise<void> {
  await blobs.discard(id).catch(() => {})
}

/** Deletes the bytes of a part of other uploads, also kept ones: no state of a database has a file of them. */
export async function deletePart(blobs: BlobStore, id: string): Promise<void> {
  await Promise.allSettled([blobs.discard(id), blobs.remove(id)])
}
