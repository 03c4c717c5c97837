import { withDeadline } from '../../../concurrency/deadline.ts'
import { inTransaction, type ServiceContext } from '../../../context.ts'
import { batchesBy } from '../../../database/query/batches.ts'
import { DomainError } from '../../../errors/domain-error.ts'
import { backoffMs } from '../../../jobs/queue.ts'
import { asConfirmer } from '../creator.ts'
import { uploadById } from '../reads.ts'
import { failuresOf, isAutoConfirming, type UploadRow, withFailure } from '../rules.ts'
import { confirmUpload } from './confirm.ts'
import { isBeingConfirmed } from './confirm-lease.ts'
import { failureOf } from './failures.ts'
import {
  autoConfirmJob,
  awaitingAfter,
  dequeueConfirm,
  enqueueConfirm,
  isAwaitingConfirm,
} from './pending-confirms.ts'

/** Low, because each confirm may read a whole file. */
const CONCURRENCY = 4
/**
 * Time that the handler waits for a confirm. A longer confirm continues in the background, so that other jobs
 * do not wait for a large file.
 */
const MAX_WAIT_MS = 2_000
/** Delay until the job runs again. It grows after storage errors, up to MAX_DELAY_MS. */
const MIN_DELAY_MS = 2_000
const MAX_DELAY_MS = 60_000
/** A retryable error becomes permanent this long after the expiry time of the upload. */
const MAX_PENDING_MS = 7 * 86_400_000

const PAGE_SIZE = 100

/**
 * Confirms an upload with autoConfirm for the request that sent its last byte. A permanent error is recorded
 * and ends the automatic attempts; confirmUpload can still be called. Throws the errors of confirmUpload.
 */
export const confirmAutomatically = (ctx: ServiceContext, upload: UploadRow): Promise<UploadRow> =>
  recordingRefusal(ctx, upload, () => confirmUpload(ctx, { uploadId: upload.id }))

async function recordingRefusal(
  ctx: ServiceContext,
  upload: UploadRow,
  confirm: () => Promise<UploadRow>,
): Promise<UploadRow> {
  try {
    return await confirm()
  } catch (error) {
    if (isPermanent(error, upload, ctx.now())) await recordRefusal(ctx, upload.id, error)
    throw error
  }
}

function isPermanent(error: unknown, { expiresAt }: UploadRow, now: number): error is DomainError {
  if (!(error instanceof DomainError)) return false
  return !error.retryable || now > expiresAt + MAX_PENDING_MS
}

/**
 * Records a permanent error, unless another attempt has succeeded. After that, the upload expires like any
 * other.
 */
const recordRefusal = (ctx: ServiceContext, id: string, error: DomainError) =>
  inTransaction(ctx, async (s) => {
    const upload = await s.tx
      .updateTable('uploads')
      .set({ confirmRefusal: error.code, expiresAt: s.now() + s.limits.uploadTtlMs })
      .where('id', '=', id)
      .where(isAwaitingConfirm)
      .returningAll()
      .executeTakeFirst()
    if (!upload) return
    await dequeueConfirm(s.tx, upload)
    if (failuresOf(upload).at(-1)?.code === error.code) return
    const failures = withFailure(upload, failureOf(error, s.now(), null))
    await s.tx.updateTable('uploads').set({ failures }).where('id', '=', id).execute()
  })

/**
 * Creates the handler of autoConfirmJob, which confirms the upload as its creator unless a request is
 * confirming it. The job runs again until the upload is a file or its confirm has failed permanently. Storage
 * errors and bugs go to `report`.
 */
export function createAutoConfirmer(ctx: ServiceContext, report: (error: unknown) => void) {
  const running = new Set<string>()
  const begin = async (upload: UploadRow) => {
    running.add(upload.id)
    await confirmAsCreator(ctx, upload)
      .catch(report)
      .finally(() => running.delete(upload.id))
  }
  return autoConfirmJob.handler(async ({ uploadId }) => {
    const upload = await uploadById(ctx.db, uploadId)
    if (!upload || !isAutoConfirming(upload)) return
    const isFree = running.size < CONCURRENCY && !running.has(uploadId)
    if (isFree && !(await isBeingConfirmed(ctx, upload))) {
      await withDeadline(begin(upload), MAX_WAIT_MS, undefined)
    }
    await reschedule(ctx, uploadId)
  })
}

/** Confirms the upload as its creator. Permanent errors are recorded in the upload and not thrown. */
async function confirmAsCreator(ctx: ServiceContext, upload: UploadRow): Promise<void> {
  const confirm = async () => confirmUpload(await asConfirmer(ctx, upload), { uploadId: upload.id })
  await recordingRefusal(ctx, upload, confirm).catch((error) => {
    if (!isPermanent(error, upload, ctx.now())) throw error
  })
}

async function reschedule(ctx: ServiceContext, uploadId: string): Promise<void> {
  const upload = await uploadById(ctx.db, uploadId)
  if (!upload || !isAutoConfirming(upload)) return
  await inTransaction(ctx, (s) => enqueueConfirm(s, uploadId, delayMs(upload)))
}

/** Returns the delay until the job runs again. It grows with the number of consecutive storage errors. */
function delayMs(upload: UploadRow): number {
  const failures = failuresOf(upload)
  const lastOther = failures.findLastIndex(({ code }) => code !== 'STORAGE_ERROR')
  const consecutive = failures.length - 1 - lastOther
  const backoff = consecutive === 0 ? 0 : backoffMs(consecutive)
  return Math.min(Math.max(MIN_DELAY_MS, backoff), MAX_DELAY_MS)
}

/** The periodic job that runs enqueueMissingConfirms. */
export const ENQUEUE_CONFIRMS = 'enqueueConfirms'

/**
 * Enqueues the confirm of every upload that has a pending automatic confirm but no job, as older versions
 * could leave behind. Returns the number of jobs added.
 */
export async function enqueueMissingConfirms(
  ctx: ServiceContext,
  signal?: AbortSignal,
): Promise<number> {
  await completeDeclared(ctx)
  let count = 0
  const read = (after: string) => awaitingAfter(ctx.db, after, PAGE_SIZE)
  for await (const page of batchesBy('id', PAGE_SIZE, read)) {
    signal?.throwIfAborted()
    const missing = page.filter(({ hasJob }) => !hasJob)
    await inTransaction(ctx, async (s) => {
      for (const { id } of missing) await enqueueConfirm(s, id, 0)
    })
    count += missing.length
  }
  return count
}

/**
 * Completes uploads of an older version, which could crash between declaring the length of a complete upload
 * and setting its status to RECEIVED.
 */
const completeDeclared = ({ db }: ServiceContext) =>
  db
    .updateTable('uploads')
    .set({ status: 'RECEIVED' })
    .where('status', '=', 'RECEIVING')
    .where('autoConfirm', '=', 1)
    .where('concat', 'is', null)
    .whereRef('size', '=', 'offset')
    .execute()
