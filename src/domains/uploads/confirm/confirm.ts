import { withDeadline } from '../../../concurrency/deadline.ts'
import type { ServiceContext } from '../../../context.ts'
import { ChecksumMismatch } from '../../../errors/uploads.ts'
import type { Turn } from '../batch.ts'
import type { UploadRow } from '../rules.ts'
import { claimUpload, defaultTimeout, keepConfirmLease } from './confirm-lease.ts'
import { releaseClaim } from './failures.ts'
import { type Content, inspectContent, publish } from './publish.ts'
import { type ConfirmUpload, persistIfSlow } from './slow-confirms.ts'

/**
 * Creates the file or version of an upload that has all its bytes. If that takes longer than `deadline`,
 * returns the row with status PROCESSING; a job resumes the confirm if this process dies. Idempotent:
 * concurrent requests wait for the one that confirms, and later ones get the same result. Only for the
 * viewer's own uploads. Requires role EDITOR and scope FILES_WRITE. Throws NotFound, Forbidden,
 * UploadIncomplete, UploadExpired, InvalidState, SizeMismatch, ChecksumMismatch, NameConflict, QuotaExceeded,
 * RowRejected, StorageError.
 */
export async function confirmUpload(
  ctx: ServiceContext,
  input: ConfirmUpload,
  deadline = defaultTimeout(),
): Promise<UploadRow> {
  return (await beginConfirm(ctx, input, deadline)).outcome
}

/**
 * Claims an upload and starts its confirm; `outcome` resolves to the result of confirmUpload. The bytes are
 * committed immediately. The file is created when it is the turn of the upload.
 */
export async function beginConfirm(
  ctx: ServiceContext,
  input: ConfirmUpload,
  deadline: AbortSignal,
  turn?: Turn,
): Promise<{ outcome: Promise<UploadRow> }> {
  const { upload, mine } = await claimUpload(ctx, input, deadline)
  if (!mine) return { outcome: Promise.resolve(upload) }
  const finished = finish(ctx, upload, input, turn).catch(async (error) => {
    if (await releaseClaim(ctx, upload, error)) throw error
    // Another process has claimed the upload, so wait for its result.
    return confirmUpload(ctx, input, deadline)
  })
  return { outcome: withDeadline(finished, deadline, upload) }
}

async function finish(
  ctx: ServiceContext,
  claimed: UploadRow,
  input: ConfirmUpload,
  turn?: Turn,
): Promise<UploadRow> {
  using _lease = keepConfirmLease(ctx, claimed)
  using _job = persistIfSlow(ctx, [claimed], [input])
  const content = await commitBytes(ctx, claimed, input)
  await turn?.ready
  const published = publish(ctx, claimed, content, input)
  turn?.done()
  return published
}

/**
 * Verifies the checksums and commits the bytes of a claimed upload. Bytes are committed before rows, so there
 * is never a row without bytes. After a crash in between, they are committed again.
 */
export async function commitBytes(
  ctx: ServiceContext,
  claimed: UploadRow,
  { sha256 }: ConfirmUpload,
): Promise<Content> {
  const content = await inspectContent(ctx, claimed)
  checkHash(claimed.sha256, content.sha256)
  checkHash(sha256, content.sha256)
  await ctx.blobs.commit(claimed.id)
  return content
}

function checkHash(expected: string | null | undefined, actual: string) {
  if (expected == null || expected === actual) return
  throw new ChecksumMismatch({ expected, actual }).at('sha256')
}
