import type { ServiceContext } from '../../context.ts'
import { leaseNow } from '../../database/clock.ts'
import { isOverdue } from './reads.ts'
import type { UploadRow } from './rules.ts'
import { failUpload } from './terminate.ts'

const BATCH_SIZE = 100

/**
 * Expires all overdue uploads: deletes their bytes and releases their reserved space. Returns the number of
 * uploads. Can run concurrently in several processes.
 */
export async function expireUploads(ctx: ServiceContext, signal?: AbortSignal): Promise<number> {
  let count = 0
  for (;;) {
    signal?.throwIfAborted()
    const uploads = await overdueUploads(ctx)
    for (const upload of uploads) if (await expireUpload(ctx, upload)) count += 1
    if (uploads.length < BATCH_SIZE) return count
  }
}

type UploadKey = Pick<UploadRow, 'id' | 'workspaceId'>

const overdueUploads = ({ db, now }: ServiceContext): Promise<UploadKey[]> =>
  db
    .selectFrom('uploads')
    .select(['id', 'workspaceId'])
    .where((eb) => isOverdue(eb, now()))
    .limit(BATCH_SIZE)
    .execute()

/** Expires one upload. Returns false if it is not overdue or has already ended. */
export async function expireUpload(
  ctx: ServiceContext,
  { id, workspaceId }: UploadKey,
): Promise<boolean> {
  const failure = { status: 'EXPIRED', code: 'UPLOAD_EXPIRED' } as const
  return (await failUpload(ctx, { id, workspaceId }, failure)) !== null
}

/**
 * Sets uploads back to RECEIVED if the process of their confirm died, unless a job resumes the confirm.
 * Returns the number of uploads.
 */
export async function releaseDeadConfirms({ db, now }: ServiceContext): Promise<number> {
  const { numUpdatedRows } = await db
    .updateTable('uploads')
    .set((eb) => ({ status: 'RECEIVED', leaseUntil: null, fence: eb('fence', '+', 1) }))
    .where('status', '=', 'PROCESSING')
    .where('leaseUntil', '<=', leaseNow(db, now()))
    .where('confirmJob', 'is', null)
    .executeTakeFirst()
  return Number(numUpdatedRows)
}
