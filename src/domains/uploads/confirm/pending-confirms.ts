import { sql } from 'kysely'
import type { TxContext } from '../../../context.ts'
import type { Db } from '../../../database/database.ts'
import type { Tx } from '../../../database/transaction.ts'
import { jobKind } from '../../../jobs/job-kind.ts'
import { dequeue } from '../../../jobs/queue.ts'
import type { UploadRow } from '../rules.ts'

/** The job that confirms an upload with autoConfirm after its last byte. */
export const autoConfirmJob = jobKind('autoConfirm', (z) => z.object({ uploadId: z.string() }))

/**
 * Longer than most confirms take. Usually the request that sent the last byte confirms the upload, and the
 * job finds nothing to do.
 */
const DELAY_MS = 2_000

const jobIdOf = (uploadId: string) => `${autoConfirmJob.kind}:${uploadId}`

/** Enqueues the confirm of an upload, in the transaction that records its last byte. */
export const enqueueConfirm = (
  { tx, now }: TxContext,
  uploadId: string,
  delayMs = DELAY_MS,
): Promise<string> =>
  autoConfirmJob.enqueue(tx, {
    id: jobIdOf(uploadId),
    payload: { uploadId },
    runAt: now() + delayMs,
  })

/** Removes the confirm of an upload from the queue, in the transaction that confirms or ends it. */
export async function dequeueConfirm(
  tx: Tx,
  { id, autoConfirm }: Pick<UploadRow, 'id' | 'autoConfirm'>,
): Promise<void> {
  if (autoConfirm === 1) await dequeue(tx, jobIdOf(id))
}

/** The condition of hasPendingConfirm in rules.ts as SQL. It must equal the condition of the index. */
export const isAwaitingConfirm = sql<boolean>`("status" = 'RECEIVED' AND "autoConfirm" = 1 AND "confirmRefusal" IS NULL)`

/**
 * Returns a page of the uploads after the id `after` that await their confirm, each with its id and whether
 * its job exists.
 */
export async function awaitingAfter(
  db: Db,
  after: string,
  pageSize: number,
): Promise<{ id: string; hasJob: boolean }[]> {
  const uploads = await db
    .selectFrom('uploads')
    .select('id')
    .where(isAwaitingConfirm)
    .where('id', '>', after)
    .orderBy('id')
    .limit(pageSize)
    .execute()
  const jobs = await db
    .selectFrom('jobs')
    .select('id')
    .where(
      'id',
      'in',
      uploads.map(({ id }) => jobIdOf(id)),
    )
    .execute()
  const existing = new Set(jobs.map(({ id }) => id))
  return uploads.map(({ id }) => ({ id, hasJob: existing.has(jobIdOf(id)) }))
}
