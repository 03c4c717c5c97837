import { inTransaction, type ServiceContext, type TxContext } from '../../../context.ts'
import { BatchAborted, StorageError } from '../../../errors.ts'
import type { UploadOutcome } from '../batch.ts'
import { asConfirmer } from '../creator.ts'
import type { UploadRow } from '../rules.ts'
import { keepLease, leasedAmong, reclaim } from './confirm-lease.ts'
import { type Batch, finishAll, releaseClaims } from './confirm-uploads.ts'
import { type LongConfirm, scheduleResume } from './slow-confirms.ts'

/** Each of them reads a file from end to end. */
const AT_ONCE = 4

/**
 * The job behind a confirm that takes long: looks after it until it is over, and goes on with it where its process has died, with
 * the wishes and in the name of whoever confirmed. It returns at once and the work goes on behind it: no other job waits for a
 * terabyte. What stands in the way is found in the failures of the uploads; faults of the storage, and bugs, are told to `report`.
 */
export function resumer(ctx: ServiceContext, report: (error: unknown) => void) {
  let running = 0
  return async (payload: unknown): Promise<void> => {
    const confirm = payload as LongConfirm
    const left = await inTransaction(ctx, (s) => takeLeft(s, confirm, running < AT_ONCE))
    if (left.length === 0) return
    running += 1
    void goOn(ctx, confirm, left)
      .then((outcomes) => faultsIn(outcomes).forEach(report), report)
      .finally(() => {
        running -= 1
      })
  }
}

/** The uploads of a confirm, claimed, when nobody works on them any more; none while somebody does, or once it is over. */
async function takeLeft(s: TxContext, confirm: LongConfirm, free: boolean): Promise<UploadRow[]> {
  const uploads = await lookedAfter(s, confirm)
  if (uploads.length === 0) return []
  await scheduleResume(s, confirm)
  const ids = uploads.map(({ id }) => id)
  const isAlive = (await leasedAmong(s.tx, ids, s.now())).length > 0
  if (isAlive || !free) return []
  const taken: UploadRow[] = []
  for (const upload of uploads) taken.push(...(await reclaim(s, upload)))
  return taken
}

const lookedAfter = ({ tx }: TxContext, { jobId, inputs }: LongConfirm) =>
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

async function goOn(ctx: ServiceContext, { inputs, tokenId }: LongConfirm, left: UploadRow[]) {
  const batch: Batch = { inputs, claims: [], leases: new DisposableStack(), at: 0 }
  for (const upload of left) {
    const at = inputs.findIndex(({ uploadId }) => uploadId === upload.id)
    batch.claims[at] = { upload, mine: true }
    batch.leases.use(keepLease(ctx, upload))
  }
  try {
    return await finishAll(await confirmer(ctx, batch, tokenId), batch)
  } catch (error) {
    return (await releaseClaims(ctx, batch, error)) ?? []
  }
}

/** Whoever confirmed, with what they may do now. One of the uploads that another confirm has taken since spoils the batch. */
async function confirmer(
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

const faultsIn = (outcomes: UploadOutcome[]) =>
  outcomes.flatMap(({ error }) => (error instanceof StorageError ? [error] : []))
