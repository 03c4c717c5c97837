import { inTransaction, type ServiceContext } from '../../../context.ts'
import { ChecksumMismatch, DomainError } from '../../../errors.ts'
import { type UploadFailure, type UploadRow, withFailure } from '../rules.ts'
import { deleteBytes, recordFailure, terminateUpload } from '../terminate.ts'

/**
 * Ends a claim and records what went wrong. Bytes that are not the announced ones will never be: FAILED. All else can be tried again.
 * False where the claim was lost before: then what became of the upload is for others to say.
 */
export async function releaseClaim(
  ctx: ServiceContext,
  claimed: UploadRow,
  error: unknown,
): Promise<boolean> {
  const mismatch =
    error instanceof ChecksumMismatch && error.expected === claimed.sha256 ? error : null
  const failures = withFailure(claimed, failureOf(error, ctx.now(), mismatch))
  if (!mismatch) return tryAgainLater(ctx, claimed, failures)
  const failed = await inTransaction(ctx, async (s) => {
    const failed = await terminateUpload(s, claimed, 'FAILED', { failures })
    if (failed) await recordFailure(s, failed, mismatch.code)
    return failed
  })
  if (failed) await deleteBytes(ctx.blobs, claimed.id)
  return failed !== null
}

async function tryAgainLater({ db }: ServiceContext, { id, fence }: UploadRow, failures: string) {
  const { numUpdatedRows } = await db
    .updateTable('uploads')
    .set({ status: 'RECEIVED', leaseUntil: null, confirmJob: null, failures })
    .where('id', '=', id)
    .where('fence', '=', fence)
    .where('status', '=', 'PROCESSING')
    .executeTakeFirst()
  return numUpdatedRows > 0n
}

/** What went wrong, as the row of the upload keeps it. */
export function failureOf(
  error: unknown,
  at: number,
  fatal: ChecksumMismatch | null,
): UploadFailure {
  if (fatal)
    return { code: fatal.code, message: fatal.message, retryable: false, at, actual: fatal.actual }
  // What the disk or a bug says of itself may name folders of the house.
  if (!(error instanceof DomainError) || error.code === 'STORAGE_ERROR') {
    return {
      code: 'STORAGE_ERROR',
      message: 'the storage did not do its part',
      retryable: true,
      at,
    }
  }
  return { code: error.code, message: error.message, retryable: true, at }
}
