import { inTransaction, type ServiceContext } from '../../context.ts'
import { leaseNow } from '../../database/clock.ts'
import { isOverdue } from './reads.ts'
import { deleteBytes, recordFailure, terminateUpload } from './terminate.ts'

const BATCH_SIZE = 100

/**
 * Expires all overdue uploads: deletes their bytes and releases their reserved space. Returns the number of
 * uploads. Can run concurrently in several processes.
 */
export async function expireUploads(ctx: ServiceContext, signal?: AbortSignal): Promise<number> {
  let count = 0
  for (;;) {
    signal?.throwIfAborted()
    const ids = await overdueIds(ctx)
    for (const id of ids) if (await expireUpload(ctx, id)) count += 1
    if (ids.length < BATCH_SIZE) return count
  }
}

async function overdueIds({ db, now }: ServiceContext): Promise<string[]> {
  const rows = await db
    .selectFrom('uploads')
    .select('id')
    .where((eb) => isOverdue(eb, now()))
    .limit(BATCH_SIZE)
    .execute()
  return rows.map(({ id }) => id)
}

/** Expires one upload. Returns false if it is not overdue or has already ended. */
export async function expireUpload(ctx: ServiceContext, id: string): Promise<boolean> {
  const ended = await inTransaction(ctx, async (s) => {
    const ended = await terminateUpload(s, { id }, 'EXPIRED')
    if (ended) await recordFailure(s, ended, 'UPLOAD_EXPIRED')
    return ended
  })
  if (ended) await deleteBytes(ctx.blobs, id)
  return ended !== null
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
