import { setTimeout as sleep } from 'node:timers/promises'
import { inTransaction, type ServiceContext } from '../../../context.ts'
import { DomainError } from '../../../errors.ts'
import { backoffMs } from '../../../jobs/queue.ts'
import { asConfirmer } from '../creator.ts'
import { uploadById } from '../reads.ts'
import { confirmsItself, failuresOf, type UploadRow, withFailure } from '../rules.ts'
import { confirmUpload } from './confirm.ts'
import { isBeingConfirmed } from './confirm-lease.ts'
import { failureOf } from './failures.ts'
import {
  awaitingAfter,
  dequeueConfirm,
  enqueueConfirm,
  isAwaitingConfirm,
} from './pending-confirms.ts'

/** Each of them may read a file from end to end. */
const CONCURRENCY = 4
/** A confirm that takes longer goes on behind the job: other jobs do not wait for a terabyte. */
const WAIT_MS = 2_000
/** The job comes again after this time, and after failures of the storage later, up to MAX_DELAY_MS. */
const MIN_DELAY_MS = 2_000
const MAX_DELAY_MS = 60_000
/** A storage that has failed for so long is not waited for any longer. */
const MAX_PENDING_MS = 7 * 86_400_000

const PAGE_SIZE = 100

/**
 * Confirms an upload whose last byte was to do so, for the request that brought it. A refusal that no repetition changes is recorded
 * and ends the attempts; confirmUpload may still be called. Throws what confirmUpload throws.
 */
export const confirmItself = (ctx: ServiceContext, upload: UploadRow): Promise<UploadRow> =>
  recordingRefusal(ctx, upload, () => confirmUpload(ctx, { uploadId: upload.id }))

async function recordingRefusal(
  ctx: ServiceContext,
  upload: UploadRow,
  confirm: () => Promise<UploadRow>,
): Promise<UploadRow> {
  try {
    return await confirm()
  } catch (error) {
    if (isFinal(error, upload, ctx.now())) await recordRefusal(ctx, upload.id, error)
    throw error
  }
}

function isFinal(error: unknown, { expiresAt }: UploadRow, now: number): error is DomainError {
  if (!(error instanceof DomainError)) return false
  return !error.retryable || now > expiresAt + MAX_PENDING_MS
}

/** Only while it still awaits its confirm: another attempt may have succeeded. From here on it expires like any other. */
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
 * The job behind AUTO_CONFIRM: confirms the upload in the name of its maker, unless a request is doing so. It comes again until the
 * upload is a file or its confirm was refused; faults of the storage, and bugs, go to `report`.
 */
export function autoConfirmer(ctx: ServiceContext, report: (error: unknown) => void) {
  const running = new Set<string>()
  const begin = async (upload: UploadRow) => {
    running.add(upload.id)
    await confirmAsMaker(ctx, upload)
      .catch(report)
      .finally(() => running.delete(upload.id))
  }
  return async (payload: unknown): Promise<void> => {
    const { uploadId } = payload as { uploadId: string }
    const upload = await uploadById(ctx.db, uploadId)
    if (!upload || !confirmsItself(upload)) return
    const isFree = running.size < CONCURRENCY && !running.has(uploadId)
    if (isFree && !(await isBeingConfirmed(ctx, upload))) {
      await Promise.race([begin(upload), sleep(WAIT_MS, undefined, { ref: false })])
    }
    await comeAgain(ctx, uploadId)
  }
}

/** Final refusals are recorded, and nothing to report. */
async function confirmAsMaker(ctx: ServiceContext, upload: UploadRow): Promise<void> {
  const confirm = async () => confirmUpload(await asConfirmer(ctx, upload), { uploadId: upload.id })
  await recordingRefusal(ctx, upload, confirm).catch((error) => {
    if (!isFinal(error, upload, ctx.now())) throw error
  })
}

async function comeAgain(ctx: ServiceContext, uploadId: string): Promise<void> {
  const upload = await uploadById(ctx.db, uploadId)
  if (!upload || !confirmsItself(upload)) return
  await inTransaction(ctx, (s) => enqueueConfirm(s, uploadId, delayMs(upload)))
}

/** Grows with the failures of the storage since the last other one. */
function delayMs(upload: UploadRow): number {
  const failures = failuresOf(upload)
  const others = failures.findLastIndex(({ code }) => code !== 'STORAGE_ERROR')
  const inARow = failures.length - 1 - others
  const backoff = inARow === 0 ? 0 : backoffMs(inARow)
  return Math.min(Math.max(MIN_DELAY_MS, backoff), MAX_DELAY_MS)
}

/** The periodic job that runs enqueueMissingConfirms. */
export const ENQUEUE_CONFIRMS = 'enqueueConfirms'

/**
 * Gives a job to every upload that awaits its own confirm and has none, as those that an older version left. Returns how many.
 */
export async function enqueueMissingConfirms(
  ctx: ServiceContext,
  signal?: AbortSignal,
): Promise<number> {
  await completeDeclared(ctx)
  let [count, after] = [0, '']
  for (;;) {
    signal?.throwIfAborted()
    const page = await awaitingAfter(ctx.db, after, PAGE_SIZE)
    const missing = page.filter(({ hasJob }) => !hasJob)
    await inTransaction(ctx, async (s) => {
      for (const { id } of missing) await enqueueConfirm(s, id, 0)
    })
    count += missing.length
    after = page.at(-1)?.id ?? ''
    if (page.length < PAGE_SIZE) return count
  }
}

/** An older version could die between declaring the length that an upload had already, and saying that all bytes are there. */
const completeDeclared = ({ db }: ServiceContext) =>
  db
    .updateTable('uploads')
    .set({ status: 'RECEIVED' })
    .where('status', '=', 'RECEIVING')
    .where('autoConfirm', '=', 1)
    .where('concat', 'is', null)
    .whereRef('size', '=', 'offset')
    .execute()
