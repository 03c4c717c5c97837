import { inTransaction, type ServiceContext } from '../../context.ts'
import { leaseNow } from '../../database/clock.ts'
import { isOverdue } from './reads.ts'
import { deleteBytes, recordFailure, terminateUpload } from './terminate.ts'

const BATCH = 100

/** Ends the uploads whose time is over: their bytes go, their room is given back. Answers how many; may run anywhere, any number of times. */
export async function expireUploads(ctx: ServiceContext, signal?: AbortSignal): Promise<number> {
  let count = 0
  for (;;) {
    signal?.throwIfAborted()
    const ids = await overdue(ctx)
    for (const id of ids) if (await expireUpload(ctx, id)) count += 1
    if (ids.length < BATCH) return count
  }
}

async function overdue({ db, now }: ServiceContext): Promise<string[]> {
  const rows = await db
    .selectFrom('uploads')
    .select('id')
    .where((eb) => isOverdue(eb, now()))
    .limit(BATCH)
    .execute()
  return rows.map(({ id }) => id)
}

/** Ends one upload whose time is over; false where it is not, or where it has ended otherwise. */
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
 * Puts back what a confirm left PROCESSING when it died, unless a job goes on with it: it waits for the next confirm, or for its
 * end. Answers how many.
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
