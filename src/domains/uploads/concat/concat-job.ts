import { inLockedTransaction, inTransaction, type ServiceContext } from '../../../context.ts'
import { StorageError } from '../../../errors/availability.ts'
import { InvalidState } from '../../../errors/entries.ts'
import { uploadById, uploadsById } from '../reads.ts'
import { acquireWriteLease, type WriteLease } from '../receive/leases.ts'
import { commitOffset } from '../receive/offsets.ts'
import { isConcatenating, isPartial, isTerminal, statusAt, type UploadRow } from '../rules.ts'
import { deletePart, failUpload, terminateUpload } from '../terminate.ts'
import { concatPartsJob, enqueueConcat } from './concat-parts-job.ts'

/** Interval at which the job looks for parts that have ended. A part that is complete starts it at once. */
const CHECK_INTERVAL_MS = 30_000

/**
 * Returns the handler of the job of createFinal. It appends the complete parts to the final upload in order,
 * continuing after an earlier attempt, and runs again until all have arrived; then it ends the parts. A final
 * upload whose part ended without its bytes is canceled. Buffers about 1 MiB in memory. With autoConfirm, the
 * last byte enqueues the confirm. Throws InvalidState if another writer holds or takes the lease, and
 * StorageError.
 */
export const createConcatHandler = (ctx: ServiceContext) =>
  concatPartsJob.handler(async ({ uploadId, partIds }, signal) => {
    const parts = (await uploadsById(ctx.db, partIds)).filter((part) => part !== null)
    const isWaiting = await appendUnderLease(ctx, uploadId, parts, signal)
    if (signal.aborted) return
    if (isWaiting && (await canArrive(ctx, parts))) {
      const next = ctx.now() + CHECK_INTERVAL_MS
      await inTransaction(ctx, ({ tx }) => enqueueConcat(tx, { uploadId, partIds }, next))
      return
    }
    if (isWaiting) await cancelFinal(ctx, uploadId)
    for (const part of parts) await endPart(ctx, part)
  })

/** Returns whether all parts have their bytes or can still receive them. */
async function canArrive(ctx: ServiceContext, parts: UploadRow[]): Promise<boolean> {
  const rows = await uploadsById(
    ctx.db,
    parts.map(({ id }) => id),
  )
  return rows.every((part) => part && !isTerminal(statusAt(part, ctx.now())))
}

async function cancelFinal(ctx: ServiceContext, id: string) {
  const final = await uploadById(ctx.db, id)
  if (!final) return
  const { workspaceId } = final
  await failUpload(ctx, { id, workspaceId }, { status: 'CANCELED', code: 'UPLOAD_INCOMPLETE' })
}

/** Appends what has arrived. Returns whether the final upload waits for bytes of a part. */
async function appendUnderLease(
  ctx: ServiceContext,
  id: string,
  parts: UploadRow[],
  signal: AbortSignal,
): Promise<boolean> {
  const stop = new AbortController()
  const lease = (await acquireWriteLease(ctx, id, stop)) ?? throwLeaseTaken()
  const { upload } = lease
  const isUnfinished = (upload: UploadRow | null) =>
    upload && isConcatenating(upload) && statusAt(upload, ctx.now()) !== 'EXPIRED'
  try {
    if (!upload || !isUnfinished(upload)) return false
    const either = AbortSignal.any([signal, stop.signal])
    const isWaiting = await appendAll(ctx, upload, parts, {
      signal: either,
      assertWriter: () => assertLeaseHeld(lease),
    })
    // Another writer took the lease and still needs the parts.
    if (!isWaiting && !signal.aborted && isUnfinished(await uploadById(ctx.db, id)))
      throwLeaseTaken()
    return isWaiting
  } finally {
    await lease.release(null)
  }
}

const assertLeaseHeld = (lease: WriteLease) => lease.isMine() || throwLeaseTaken()

/** Makes the queue retry the job, which then continues after the bytes that the other process appended. */
function throwLeaseTaken(): never {
  throw new InvalidState('RECEIVING', 'another process is concatenating these parts')
}

type AppendControl = { signal: AbortSignal; assertWriter: () => void }

/** Appends the parts in order, up to the first incomplete one. Returns whether there is one. */
async function appendAll(
  ctx: ServiceContext,
  final: UploadRow,
  parts: UploadRow[],
  control: AppendControl,
): Promise<boolean> {
  const { blobs } = ctx
  let [upload, begin] = [final, 0]
  await blobs.stage(upload.id, upload.size)
  for (const part of parts) {
    const end = begin + (part.size ?? part.offset)
    if (upload.offset < end) {
      if (part.status !== 'RECEIVED') return true
      const start = upload.offset - begin
      const grown = await appendPart(ctx, upload, { key: part.id, start }, control)
      if (!grown || control.signal.aborted) return false
      if (grown.offset < end)
        throw new StorageError(`${part.id} is shorter than its recorded ${part.offset} bytes`)
      upload = grown
    }
    begin = end
  }
  if (upload.status !== 'RECEIVED') await commitOffset(ctx, upload, upload.offset)
  return false
}

/** Appends one part and returns the new row of the upload, or null if the upload ended meanwhile. */
async function appendPart(
  ctx: ServiceContext,
  upload: UploadRow,
  { key, start }: { key: string; start: number },
  { signal, assertWriter }: AppendControl,
): Promise<UploadRow | null> {
  const { blobs } = ctx
  let grown: UploadRow | null = upload
  const ended = new AbortController()
  const commit = async (offset: number) => {
    grown = grown && (await commitOffset(ctx, grown, offset))
    if (!grown) ended.abort()
  }
  // Only committed blobs can be read. Committing a blob twice has no effect.
  await blobs.commit(key)
  const source = await blobs.open(key, { start })
  const either = AbortSignal.any([signal, ended.signal])
  try {
    const options = { signal: either, assertWriter, onDurable: commit }
    await commit(await blobs.append(upload.id, upload.offset, source, options))
  } finally {
    source.destroy()
  }
  return grown
}

/** Cancels a part that is no longer needed and deletes its bytes. */
async function endPart(ctx: ServiceContext, part: UploadRow) {
  await inLockedTransaction(ctx, [part.workspaceId], (s) =>
    terminateUpload(s, { id: part.id }, 'CANCELED'),
  )
  if (isPartial(part)) await deletePart(ctx.blobs, part.id)
}
