import { withDeadline } from '../../../concurrency/deadline.ts'
import { inLockedTransaction, type ServiceContext } from '../../../context.ts'
import { BatchAborted, InvalidState } from '../../../errors/entries.ts'
import { InvalidInput } from '../../../errors/input.ts'
import type { BatchMode } from '../../entries/batch.ts'
import {
  allAborted,
  CONCURRENCY,
  checkBatchSize,
  runIndependently,
  succeeded,
  toDomainError,
  type UploadOutcome,
} from '../batch.ts'
import type { UploadRow } from '../rules.ts'
import { beginConfirm, commitBytes } from './confirm.ts'
import { type Claim, claimUpload, defaultTimeout, keepConfirmLease } from './confirm-lease.ts'
import { releaseClaim } from './failures.ts'
import { type Content, publishInTx } from './publish.ts'
import { type ConfirmUpload, persistIfSlow } from './slow-confirms.ts'

type ConfirmUploads = { uploads: readonly ConfirmUpload[]; mode: BatchMode }

/**
 * Confirms 1 to 100 uploads. ALL_OR_NOTHING verifies and commits all bytes first, then one transaction
 * creates all files. If one item fails, no file is created, and the other uploads can be confirmed again.
 * Uploads that were confirmed earlier stay files. Throws InvalidInput for the wrong number of items.
 */
export async function confirmUploads(ctx: ServiceContext, { uploads, mode }: ConfirmUploads) {
  checkBatchSize(uploads)
  const deadline = defaultTimeout()
  if (mode === 'BEST_EFFORT')
    return runIndependently(uploads, (input, turn) => beginConfirm(ctx, input, deadline, turn))
  return runAtomically(ctx, uploads, deadline)
}

/** A batch of uploads that become files in one transaction. */
export type Batch = {
  inputs: readonly ConfirmUpload[]
  claims: Claim[]
  leases: DisposableStack
  /** Index of the current item; after an error, of the failed one. */
  at: number
}

async function runAtomically(
  ctx: ServiceContext,
  inputs: readonly ConfirmUpload[],
  deadline: AbortSignal,
): Promise<UploadOutcome[]> {
  const batch: Batch = { inputs, claims: [], leases: new DisposableStack(), at: 0 }
  const releaseOrRetry = async (error: unknown) =>
    (await releaseClaims(ctx, batch, error)) ?? runAtomically(ctx, inputs, deadline)
  try {
    await claimAll(ctx, batch, deadline)
  } catch (error) {
    return releaseOrRetry(error)
  }
  persistBatch(ctx, batch)
  const finished = finishAll(ctx, batch).catch(releaseOrRetry)
  return withDeadline(
    finished,
    deadline,
    batch.claims.map(({ upload }, i) => succeeded(upload, i)),
  )
}

/** Claims the uploads in the order of their ids, so that two batches with common uploads cannot deadlock. */
async function claimAll(ctx: ServiceContext, batch: Batch, deadline: AbortSignal) {
  const ids = batch.inputs.map(({ uploadId }) => uploadId)
  const inputs = [...batch.inputs.entries()]
  for (const [at, input] of inputs.sort(([, a], [, b]) => a.uploadId.localeCompare(b.uploadId))) {
    batch.at = at
    if (ids.indexOf(input.uploadId) !== at) throw duplicateError()
    const claim = await claimUpload(ctx, input, deadline)
    batch.claims[batch.at] = claim
    if (claim.mine) batch.leases.use(keepConfirmLease(ctx, claim.upload))
    else if (claim.upload.status !== 'COMPLETE') throw processingError()
  }
}

const duplicateError = () =>
  new InvalidInput({ path: ['uploadId'], message: 'is already in this batch' })
const processingError = () =>
  new InvalidState('PROCESSING', 'another request is confirming this upload')

/** Persists the confirms of the uploads that are not files yet. */
function persistBatch(ctx: ServiceContext, { claims, inputs, leases }: Batch) {
  const mine = claims.flatMap(({ upload, mine }) => (mine ? [upload] : []))
  const ownInputs = inputs.filter((_, index) => claims[index]?.mine)
  leases.use(persistIfSlow(ctx, mine, ownInputs))
}

/**
 * Commits the bytes of all claimed uploads, then creates all files. On an error, `batch.at` is the index of
 * the failed item.
 */
export async function finishAll(ctx: ServiceContext, batch: Batch): Promise<UploadOutcome[]> {
  using _ = batch.leases
  const contents = await commitAll(ctx, batch)
  const workspaceIds = batch.claims.map(({ upload }) => upload.workspaceId)
  const rows = await inLockedTransaction(ctx, workspaceIds, async (s) => {
    const rows: UploadRow[] = []
    for (const [index, { upload }] of batch.claims.entries()) {
      batch.at = index
      const content = contents[index]
      const input = batch.inputs[index] as ConfirmUpload
      rows.push(content ? await publishInTx(s, upload, content, input) : upload)
    }
    return rows
  })
  return rows.map(succeeded)
}

/**
 * Commits the bytes, CONCURRENCY uploads in parallel, because most of the time is spent waiting for the disk.
 */
async function commitAll(ctx: ServiceContext, batch: Batch): Promise<(Content | null)[]> {
  const { claims, inputs } = batch
  const contents: (Content | null)[] = []
  for (let from = 0; from < claims.length; from += CONCURRENCY) {
    const committing = claims
      .slice(from, from + CONCURRENCY)
      .map(({ upload, mine }, i) =>
        mine ? commitBytes(ctx, upload, inputs[from + i] as ConfirmUpload) : null,
      )
    // Wait for all of them, because a claim must not be released while its bytes are being committed.
    for (const outcome of await Promise.allSettled(committing)) {
      batch.at = contents.length
      if (outcome.status === 'rejected') throw outcome.reason
      contents.push(outcome.value)
    }
  }
  return contents
}

/**
 * Releases all claims of a batch after an error. Returns the results: the error for the failed item,
 * BatchAborted for the others. Returns null if the claim of the failed item was lost: then another process
 * has claimed it, and the result of that process counts.
 */
export async function releaseClaims(
  ctx: ServiceContext,
  { inputs, claims, leases, at }: Batch,
  error: unknown,
): Promise<UploadOutcome[] | null> {
  leases.dispose()
  let isLost = false
  for (const [index, claim] of claims.entries()) {
    if (!claim?.mine) continue
    const reason = index === at ? error : new BatchAborted(at)
    const isReleased = await releaseClaim(ctx, claim.upload, reason)
    if (index === at && !isReleased) isLost = true
  }
  return isLost ? null : allAborted(inputs, at, toDomainError(error))
}
