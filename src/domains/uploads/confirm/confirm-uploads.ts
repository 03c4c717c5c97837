import { inTransaction, type ServiceContext } from '../../../context.ts'
import { BatchAborted, InvalidInput, InvalidState } from '../../../errors.ts'
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
import { beginConfirm, keepBytes } from './confirm.ts'
import {
  type Claim,
  claimUpload,
  defaultTimeout,
  keepLease,
  withDeadline,
} from './confirm-lease.ts'
import { releaseClaim } from './failures.ts'
import { type Content, publishIn } from './publish.ts'
import { type ConfirmUpload, persistIfSlow } from './slow-confirms.ts'

type ConfirmUploads = { uploads: readonly ConfirmUpload[]; mode: BatchMode }

/**
 * confirmUpload for 1 to 100. ALL_OR_NOTHING: the bytes of all are checked and kept first, then one transaction makes all
 * the files; where one cannot be, there is no file, and the others can be confirmed again. Files that were there before stay.
 * Throws InvalidInput.
 */
export async function confirmUploads(ctx: ServiceContext, { uploads, mode }: ConfirmUploads) {
  checkBatchSize(uploads)
  const patience = defaultTimeout()
  if (mode === 'BEST_EFFORT')
    return runIndependently(uploads, (input, turn) => beginConfirm(ctx, input, patience, turn))
  return runAtomically(ctx, uploads, patience)
}

/** Uploads that become files together or not at all. */
export type Batch = {
  inputs: readonly ConfirmUpload[]
  claims: Claim[]
  leases: DisposableStack
  /** The item that is worked on. */
  at: number
}

async function runAtomically(
  ctx: ServiceContext,
  inputs: readonly ConfirmUpload[],
  patience: AbortSignal,
): Promise<UploadOutcome[]> {
  const batch: Batch = { inputs, claims: [], leases: new DisposableStack(), at: 0 }
  const giveUp = async (error: unknown) =>
    (await releaseClaims(ctx, batch, error)) ?? runAtomically(ctx, inputs, patience)
  try {
    await claimAll(ctx, batch, patience)
  } catch (error) {
    return giveUp(error)
  }
  writeDown(ctx, batch)
  const finished = finishAll(ctx, batch).catch(giveUp)
  return withDeadline(
    patience,
    finished,
    batch.claims.map(({ upload }, i) => succeeded(upload, i)),
  )
}

/** In the order of their ids: two batches over the same uploads wait for each other, but never both. */
async function claimAll(ctx: ServiceContext, batch: Batch, patience: AbortSignal) {
  const ids = batch.inputs.map(({ uploadId }) => uploadId)
  const order = ids
    .map((_, index) => index)
    .sort((a, b) => (ids[a] ?? '').localeCompare(ids[b] ?? ''))
  for (batch.at of order) {
    const input = batch.inputs[batch.at] as ConfirmUpload
    if (ids.indexOf(input.uploadId) !== batch.at) throw twice()
    const claim = await claimUpload(ctx, input, patience)
    batch.claims[batch.at] = claim
    if (claim.mine) batch.leases.use(keepLease(ctx, claim.upload))
    else if (claim.upload.status !== 'COMPLETE') throw busy()
  }
}

const twice = () => new InvalidInput({ path: ['uploadId'], message: 'is in this batch already' })
const busy = () =>
  new InvalidState('PROCESSING', 'another request confirms this upload at this moment')

/** With those alone that are not files yet. */
function writeDown(ctx: ServiceContext, { claims, inputs, leases }: Batch) {
  const mine = claims.flatMap(({ upload, mine }) => (mine ? [upload] : []))
  const wishes = inputs.filter((_, index) => claims[index]?.mine)
  leases.use(persistIfSlow(ctx, mine, wishes))
}

/** Keeps the bytes of all that are claimed, then makes all the files; throws with `at` the one that stands in the way. */
export async function finishAll(ctx: ServiceContext, batch: Batch): Promise<UploadOutcome[]> {
  using _ = batch.leases
  const contents = await keepAll(ctx, batch)
  const rows = await inTransaction(ctx, async (s) => {
    const rows: UploadRow[] = []
    for (const [index, { upload }] of batch.claims.entries()) {
      batch.at = index
      const content = contents[index]
      const input = batch.inputs[index] as ConfirmUpload
      rows.push(content ? await publishIn(s, upload, content, input) : upload)
    }
    return rows
  })
  return rows.map(succeeded)
}

/** Some at the same time: mostly it is the disk that is waited for. */
async function keepAll(ctx: ServiceContext, batch: Batch): Promise<(Content | null)[]> {
  const { claims, inputs } = batch
  const contents: (Content | null)[] = []
  for (let from = 0; from < claims.length; from += CONCURRENCY) {
    const kept = claims
      .slice(from, from + CONCURRENCY)
      .map(({ upload, mine }, i) =>
        mine ? keepBytes(ctx, upload, inputs[from + i] as ConfirmUpload) : null,
      )
    // To the end of all of them: nothing is given back whose bytes are on their way.
    for (const outcome of await Promise.allSettled(kept)) {
      batch.at = contents.length
      if (outcome.status === 'rejected') throw outcome.reason
      contents.push(outcome.value)
    }
  }
  return contents
}

/**
 * Each upload knows why: the one by its own fault, the others by that one's. Null where the claim of that one was lost before: another
 * process has taken it over, and what becomes of it there decides.
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
    const given = await releaseClaim(ctx, claim.upload, reason)
    if (index === at && !given) isLost = true
  }
  return isLost ? null : allAborted(inputs, at, toDomainError(error))
}
