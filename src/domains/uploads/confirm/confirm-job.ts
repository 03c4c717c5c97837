import { inTransaction, type ServiceContext, type TxContext } from '../../../context.ts'
import { StorageError } from '../../../errors/availability.ts'
import { BatchAborted } from '../../../errors/entries.ts'
import type { UploadOutcome } from '../batch.ts'
import { asConfirmer } from '../creator.ts'
import type { UploadRow } from '../rules.ts'
import { keepConfirmLease, leasedAmong, reclaim } from './confirm-lease.ts'
import { type Batch, finishAll, releaseClaims } from './confirm-uploads.ts'
import { resumeConfirmJob, type SlowConfirm, scheduleResume } from './slow-confirms.ts'

/** Low, because each confirm reads a whole file. */
const CONCURRENCY = 4

/**
 * Creates the handler of resumeConfirmJob. It checks a slow confirm until it has ended. If the process
 * of the confirm has died, it resumes the confirm with the same inputs and the rights of the original caller.
 * The handler returns immediately and works in the background, so that other jobs do not wait for a large
 * file. Errors are stored in the failures of the uploads; storage errors and bugs also go to `report`.
 */
export function createConfirmResumer(ctx: ServiceContext, report: (error: unknown) => void) {
  let running = 0
  return resumeConfirmJob.handler(async (confirm) => {
    const abandoned = await inTransaction(ctx, (s) =>
      reclaimUploads(s, confirm, running < CONCURRENCY),
    )
    if (abandoned.length === 0) return
    running += 1
    void resume(ctx, confirm, abandoned)
      .then((outcomes) => storageErrorsOf(outcomes).forEach(report), report)
      .finally(() => {
        running -= 1
      })
  })
}

/**
 * Claims the uploads of a confirm whose process has died. Returns none if the confirm is still running or has
 * ended.
 */
async function reclaimUploads(
  s: TxContext,
  confirm: SlowConfirm,
  hasCapacity: boolean,
): Promise<UploadRow[]> {
  const uploads = await persistedUploads(s, confirm)
  if (uploads.length === 0) return []
  await scheduleResume(s, confirm)
  const ids = uploads.map(({ id }) => id)
  const isAlive = (await leasedAmong(s.tx, ids, s.now())).length > 0
  if (isAlive || !hasCapacity) return []
  const reclaimed: UploadRow[] = []
  for (const upload of uploads) reclaimed.push(...(await reclaim(s, upload)))
  return reclaimed
}

const persistedUploads = ({ tx }: TxContext, { jobId, inputs }: SlowConfirm) =>
  tx
    .selectFrom('uploads')
    .selectAll()
    .where(
      'id',
      'in',
      inputs.map(({ uploadId }) => uploadId),
    )
    .where('confirmJob', '=', jobId)
    .where('status', '=', 'PROCESSING')
    .orderBy('id')
    .execute()

async function resume(
  ctx: ServiceContext,
  { inputs, tokenId }: SlowConfirm,
  abandoned: UploadRow[],
) {
  const batch: Batch = { inputs, claims: [], leases: new DisposableStack(), at: 0 }
  for (const upload of abandoned) {
    const at = inputs.findIndex(({ uploadId }) => uploadId === upload.id)
    batch.claims[at] = { upload, mine: true }
    batch.leases.use(keepConfirmLease(ctx, upload))
  }
  try {
    return await finishAll(await contextOfCaller(ctx, batch, tokenId), batch)
  } catch (error) {
    return (await releaseClaims(ctx, batch, error)) ?? []
  }
}

/**
 * Returns a context that acts as the original caller with its current rights. Throws BatchAborted if another
 * confirm has claimed one of the uploads.
 */
async function contextOfCaller(
  ctx: ServiceContext,
  batch: Batch,
  tokenId: string,
): Promise<ServiceContext> {
  let as = ctx
  for (batch.at of batch.inputs.keys()) {
    const upload = batch.claims[batch.at]?.upload
    if (!upload) throw new BatchAborted(batch.at)
    as = await asConfirmer(ctx, { ...upload, tokenId })
  }
  return as
}

const storageErrorsOf = (outcomes: UploadOutcome[]) =>
  outcomes.flatMap(({ error }) => (error instanceof StorageError ? [error] : []))
