import type { ServiceContext } from '../../../context.ts'
import { DomainError } from '../../../errors/domain-error.ts'
import { ChecksumMismatch } from '../../../errors/uploads.ts'
import { type UploadFailure, type UploadRow, withFailure } from '../rules.ts'
import { failUpload } from '../terminate.ts'

/**
 * Releases a claim and records the error. If the bytes do not match the announced checksum, the upload
 * becomes FAILED; after any other error it can be confirmed again. Returns false if the claim was already
 * lost, and then does not change the upload.
 */
export async function releaseClaim(
  ctx: ServiceContext,
  claimed: UploadRow,
  error: unknown,
): Promise<boolean> {
  const mismatch =
    error instanceof ChecksumMismatch && error.expected === claimed.sha256 ? error : null
  const failures = withFailure(claimed, failureOf(error, ctx.now(), mismatch))
  if (!mismatch) return resetToReceived(ctx, claimed, failures)
  const failure = { status: 'FAILED', code: mismatch.code, changes: { failures } } as const
  return (await failUpload(ctx, claimed, failure)) !== null
}

async function resetToReceived({ db }: ServiceContext, { id, fence }: UploadRow, failures: string) {
  const { numUpdatedRows } = await db
    .updateTable('uploads')
    .set({ status: 'RECEIVED', leaseUntil: null, confirmJob: null, failures })
    .where('id', '=', id)
    .where('fence', '=', fence)
    .where('status', '=', 'PROCESSING')
    .executeTakeFirst()
  return numUpdatedRows > 0n
}

/**
 * Converts an error to the form that is stored in the row of the upload. `at` is in milliseconds since 1970;
 * `fatal` is the error if it is a mismatch that ends the upload.
 */
export function failureOf(
  error: unknown,
  at: number,
  fatal: ChecksumMismatch | null,
): UploadFailure {
  if (fatal)
    return { code: fatal.code, message: fatal.message, retryable: false, at, actual: fatal.actual }
  // The message of a disk error or a bug may contain paths of the server.
  if (!(error instanceof DomainError) || error.code === 'STORAGE_ERROR') {
    return {
      code: 'STORAGE_ERROR',
      message: 'storage error; retry later',
      retryable: true,
      at,
    }
  }
  return { code: error.code, message: error.message, retryable: true, at }
}
