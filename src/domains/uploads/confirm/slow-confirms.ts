import { inTransaction, type ServiceContext, type TxContext } from '../../../context.ts'
import { newId } from '../../../database/ids.ts'
import type { Tx } from '../../../database/transaction.ts'
import { enqueue } from '../../../jobs/queue.ts'
import type { RowLink } from '../../tables/links.ts'
import type { UploadRow } from '../rules.ts'

/** The job that goes on with what a process confirmed when it died. */
export const RESUME_CONFIRM = 'resumeConfirm'

/** A confirm that is done by then needs no job. */
const LONG_MS = 1_000
/** So often a job looks whether somebody still works on it. */
const LOOK_MS = 5_000

export type ConfirmUpload = {
  uploadId: string
  /** What the client believes it has sent; checked beside what createUpload was told. */
  size?: number | null | undefined
  sha256?: string | null | undefined
  /** Of the version. */
  comment?: string | null | undefined
  /** A row of a linked table that comes with the file or not at all; of the confirm that makes the file, and no later one. */
  linkRow?: RowLink | null | undefined
}

/** All that it takes to go on with a confirm, of one upload or of some that become files together. */
export type LongConfirm = { jobId: string; tokenId: string; inputs: ConfirmUpload[] }

/**
 * Writes a confirm that takes long down, for the job that goes on with it where this process does not: by then whoever asked may
 * have been told PROCESSING. Disposed in time, it costs nothing.
 */
export function persistIfSlow(
  ctx: ServiceContext,
  claimed: readonly UploadRow[],
  inputs: ConfirmUpload[],
): Disposable {
  const confirm = { jobId: newId('job'), tokenId: ctx.viewer?.tokenId ?? '', inputs }
  const writeDown = () =>
    inTransaction(ctx, async (s) => {
      for (const upload of claimed) if (!(await mark(s.tx, upload, confirm.jobId))) return
      await scheduleResume(s, confirm)
    })
  // Where the database does not take it there is no net: after a death, whoever confirms again begins anew.
  const timer = setTimeout(() => void writeDown().catch(() => {}), LONG_MS).unref()
  return { [Symbol.dispose]: () => clearTimeout(timer) }
}

/** Only while the claim holds: what is over needs no job. */
async function mark(tx: Tx, { id, fence }: UploadRow, confirmJob: string): Promise<boolean> {
  const { numUpdatedRows } = await tx
    .updateTable('uploads')
    .set({ confirmJob })
    .where('id', '=', id)
    .where('fence', '=', fence)
    .where('status', '=', 'PROCESSING')
    .executeTakeFirst()
  return numUpdatedRows > 0n
}

/** The job comes in a while, also when it runs at this moment. */
export const scheduleResume = ({ tx, now }: TxContext, confirm: LongConfirm) =>
  enqueue(tx, {
    id: confirm.jobId,
    kind: RESUME_CONFIRM,
    payload: confirm,
    runAt: now() + LOOK_MS,
  })
