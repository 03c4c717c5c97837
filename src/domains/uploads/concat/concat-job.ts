import { inLockedTransaction, type ServiceContext } from '../../../context.ts'
import { StorageError } from '../../../errors/availability.ts'
import { InvalidState } from '../../../errors/entries.ts'
import { uploadById, uploadsById } from '../reads.ts'
import { acquireWriteLease, type WriteLease } from '../receive/leases.ts'
import { commitOffset } from '../receive/offsets.ts'
import { isConcatenating, isPartial, statusAt, type UploadRow } from '../rules.ts'
import { deletePart, terminateUpload } from '../terminate.ts'
import { concatPartsJob } from './concat.ts'

/**
 * Returns the handler of the job of createFinal. It appends the parts to the final upload, continuing after
 * an interrupted attempt, then ends the parts. Buffers about 1 MiB in memory. With autoConfirm, the last byte
 * enqueues the confirm. Throws InvalidState if another writer holds or takes the lease, and StorageError.
 */
export const createConcatHandler = (ctx: ServiceContext) =>
  concatPartsJob.handler(async ({ uploadId, partIds }, signal) => {
    const parts = (await uploadsById(ctx.db, partIds)).filter((part) => part !== null)
    await appendUnderLease(ctx, uploadId, parts, signal)
    if (signal.aborted) return
    for (const part of parts) await endPart(ctx, part)
  })

async function appendUnderLease(
  ctx: ServiceContext,
  id: string,
  parts: UploadRow[],
  signal: AbortSignal,
): Promise<void> {
  const stop = new AbortController()
  const lease = (await acquireWriteLease(ctx, id, stop)) ?? throwLeaseTaken()
  const { upload } = lease
  const isUnfinished = (upload: UploadRow | null) =>
    upload && isConcatenating(upload) && statusAt(upload, ctx.now()) !== 'EXPIRED'
  try {
    if (!upload || !isUnfinished(upload)) return
    const either = AbortSignal.any([signal, stop.signal])
    await appendAll(ctx, upload, parts, {
      signal: either,
      assertWriter: () => assertLeaseHeld(lease),
    })
    // Another writer took the lease and still needs the parts.
    if (!signal.aborted && isUnfinished(await uploadById(ctx.db, id))) throwLeaseTaken()
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

async function appendAll(
  ctx: ServiceContext,
  final: UploadRow,
  parts: UploadRow[],
  control: AppendControl,
): Promise<void> {
  const { blobs } = ctx
  let [upload, begin] = [final, 0]
  await blobs.stage(upload.id, upload.size)
  for (const part of parts) {
    const end = begin + part.offset
    if (upload.offset < end) {
      const start = upload.offset - begin
      const grown = await appendPart(ctx, upload, { key: part.id, start }, control)
      if (!grown || control.signal.aborted) return
      if (grown.offset < end)
        throw new StorageError(`${part.id} is shorter than its recorded ${part.offset} bytes`)
      upload = grown
    }
    begin = end
  }
  if (upload.status !== 'RECEIVED') await commitOffset(ctx, upload, upload.offset)
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
