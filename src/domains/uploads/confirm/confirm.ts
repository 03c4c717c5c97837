import type { ServiceContext } from '../../../context.ts'
import { ChecksumMismatch } from '../../../errors.ts'
import type { Turn } from '../batch.ts'
import type { UploadRow } from '../rules.ts'
import { claimUpload, defaultTimeout, keepLease, withDeadline } from './confirm-lease.ts'
import { releaseClaim } from './failures.ts'
import { type Content, inspectContent, publish } from './publish.ts'
import { type ConfirmUpload, persistIfSlow } from './slow-confirms.ts'

/**
 * Makes the file (or version) of an upload whose bytes are all there; the row says PROCESSING where that takes long, and a job
 * goes on with it should this process die. Safe to repeat: one confirms, the others wait for what comes of it, and whoever comes later gets the same answer. The viewer's own
 * uploads; EDITOR, scope FILES_WRITE. Throws NotFound, Forbidden, UploadIncomplete, UploadExpired, InvalidState, SizeMismatch,
 * ChecksumMismatch, NameConflict, QuotaExceeded, RowRejected, StorageError.
 */
export async function confirmUpload(
  ctx: ServiceContext,
  input: ConfirmUpload,
  patience = defaultTimeout(),
): Promise<UploadRow> {
  return (await beginConfirm(ctx, input, patience)).outcome
}

/** The same, claimed; of what comes of it the caller hears later. Its bytes are kept at once, its file is made in its turn. */
export async function beginConfirm(
  ctx: ServiceContext,
  input: ConfirmUpload,
  patience: AbortSignal,
  turn?: Turn,
): Promise<{ outcome: Promise<UploadRow> }> {
  const { upload, mine } = await claimUpload(ctx, input, patience)
  if (!mine) return { outcome: Promise.resolve(upload) }
  const finished = finish(ctx, upload, input, turn).catch(async (error) => {
    if (await releaseClaim(ctx, upload, error)) throw error
    // Another process has taken the claim over, as from one that stood still: what became of the upload is the answer.
    return confirmUpload(ctx, input, patience)
  })
  return { outcome: withDeadline(patience, finished, upload) }
}

async function finish(
  ctx: ServiceContext,
  claimed: UploadRow,
  input: ConfirmUpload,
  turn?: Turn,
): Promise<UploadRow> {
  using _lease = keepLease(ctx, claimed)
  using _job = persistIfSlow(ctx, [claimed], [input])
  const content = await keepBytes(ctx, claimed, input)
  await turn?.comes
  const published = publish(ctx, claimed, content, input)
  turn?.pass()
  return published
}

/** Bytes first, rows second: what dies in between is adopted again, and never a row without bytes. */
export async function keepBytes(
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
