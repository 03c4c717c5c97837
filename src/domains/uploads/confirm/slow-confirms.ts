import { inTransaction, type ServiceContext, type TxContext } from '../../../context.ts'
import { newId } from '../../../database/ids.ts'
import type { Tx } from '../../../database/transaction.ts'
import { jobKind } from '../../../jobs/job-kind.ts'
import type { RowLink } from '../../tables/links.ts'
import type { UploadRow } from '../rules.ts'

/** A confirm that finishes within this time needs no job. */
const PERSIST_AFTER_MS = 1_000
/** Interval at which the job checks whether the confirm is still running. */
const CHECK_INTERVAL_MS = 5_000

export type ConfirmUpload = {
  uploadId: string
  /**
   * The size in bytes that the client expects. It is checked in addition to the size given to createUpload.
   */
  size?: number | null | undefined
  sha256?: string | null | undefined
  /** The comment of the version. */
  comment?: string | null | undefined
  /** A table row to link in the same transaction. Takes effect only in the confirm that creates the file. */
  linkRow?: RowLink | null | undefined
}

/** The data to resume a confirm of one upload or of an atomic batch. */
export type SlowConfirm = { jobId: string; tokenId: string; inputs: ConfirmUpload[] }

/** The job that resumes a confirm after its process has died. */
export const resumeConfirmJob = jobKind<SlowConfirm>('resumeConfirm', (z) => {
  const cells = z.record(z.string(), z.unknown()).nullish()
  const linkRow = z.object({ table: z.string(), column: z.string(), values: cells, key: cells })
  const input = z.object({
    uploadId: z.string(),
    size: z.number().nullish(),
    sha256: z.string().nullish(),
    comment: z.string().nullish(),
    linkRow: linkRow.nullish(),
  })
  return z.object({ jobId: z.string(), tokenId: z.string(), inputs: z.array(input) })
})

/**
 * Persists a confirm that takes longer than PERSIST_AFTER_MS, so that a job can resume it if this process
 * dies. By then the client may have received PROCESSING. Writes nothing if the result is disposed earlier.
 */
export function persistIfSlow(
  ctx: ServiceContext,
  claimed: readonly UploadRow[],
  inputs: ConfirmUpload[],
): Disposable {
  const confirm = { jobId: newId('job'), tokenId: ctx.viewer?.tokenId ?? '', inputs }
  const persist = () =>
    inTransaction(ctx, async (s) => {
      for (const upload of claimed) if (!(await markUpload(s.tx, upload, confirm.jobId))) return
      await scheduleResume(s, confirm)
    })
  // If this fails and the process crashes, the client must confirm again.
  const timer = setTimeout(() => void persist().catch(() => {}), PERSIST_AFTER_MS).unref()
  return { [Symbol.dispose]: () => clearTimeout(timer) }
}

/**
 * Stores the job id in the row of a claimed upload. Returns false if the claim was lost or the confirm has
 * ended: then no job is needed.
 */
async function markUpload(tx: Tx, { id, fence }: UploadRow, confirmJob: string): Promise<boolean> {
  const { numUpdatedRows } = await tx
    .updateTable('uploads')
    .set({ confirmJob })
    .where('id', '=', id)
    .where('fence', '=', fence)
    .where('status', '=', 'PROCESSING')
    .executeTakeFirst()
  return numUpdatedRows > 0n
}

/** Schedules the next run of the job, even if it is running now. */
export const scheduleResume = ({ tx, now }: TxContext, confirm: SlowConfirm) =>
  resumeConfirmJob.enqueue(tx, {
    id: confirm.jobId,
    payload: confirm,
    runAt: now() + CHECK_INTERVAL_MS,
  })
