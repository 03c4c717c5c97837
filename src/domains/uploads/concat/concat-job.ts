import { inTransaction, type ServiceContext } from '../../../context.ts'
import { InvalidState, StorageError } from '../../../errors.ts'
import { uploadById, uploadsById } from '../reads.ts'
import { acquireWriteLease, type WriteLease } from '../receive/leases.ts'
import { commitOffset } from '../receive/offsets.ts'
import { isConcatenating, isPartial, statusAt, type UploadRow } from '../rules.ts'
import { deletePart, terminateUpload } from '../terminate.ts'

/**
 * The job behind createFinal: appends the parts to the final upload, from where a try that died had come, and then lets them go.
 * Memory holds a MiB or so of them. With autoConfirm the last byte enqueues the confirm.
 */
export async function concatParts(ctx: ServiceContext, payload: unknown, signal: AbortSignal) {
  const { uploadId, partIds } = payload as { uploadId: string; partIds: string[] }
  const parts = (await uploadsById(ctx.db, partIds)).filter((part) => part !== null)
  await holdAndAppend(ctx, uploadId, parts, signal)
  if (signal.aborted) return
  for (const part of parts) await letGo(ctx, part)
}

async function holdAndAppend(
  ctx: ServiceContext,
  id: string,
  parts: UploadRow[],
  signal: AbortSignal,
): Promise<void> {
  const stop = new AbortController()
  const hold = (await acquireWriteLease(ctx, id, stop)) ?? taken()
  const { upload } = hold
  const waits = (upload: UploadRow | null) =>
    upload && isConcatenating(upload) && statusAt(upload, ctx.now()) !== 'EXPIRED'
  try {
    if (!upload || !waits(upload)) return
    const either = AbortSignal.any([signal, stop.signal])
    await appendAll(ctx, upload, parts, { signal: either, assertWriter: () => requireMine(hold) })
    // Whoever has it now needs the parts.
    if (!signal.aborted && waits(await uploadById(ctx.db, id))) taken()
  } finally {
    await hold.release(null)
  }
}

const requireMine = (hold: WriteLease) => hold.isMine() || taken()

/** The job begins again, and goes on from where the other came. */
function taken(): never {
  throw new InvalidState('RECEIVING', 'another process joins these parts at this moment')
}

type Joining = { signal: AbortSignal; assertWriter: () => void }

async function appendAll(
  ctx: ServiceContext,
  final: UploadRow,
  parts: UploadRow[],
  joining: Joining,
): Promise<void> {
  const { blobs } = ctx
  let [upload, begin] = [final, 0]
  await blobs.stage(upload.id, upload.size)
  for (const part of parts) {
    const end = begin + part.offset
    if (upload.offset < end) {
      const start = upload.offset - begin
      const grown = await appendPart(ctx, upload, { key: part.id, start }, joining)
      if (!grown || joining.signal.aborted) return
      if (grown.offset < end) throw new StorageError(`${part.id} is shorter than it was`)
      upload = grown
    }
    begin = end
  }
  if (upload.status !== 'RECEIVED') await commitOffset(ctx, upload, upload.offset)
}

/** The upload with the bytes of one part more; null where it has ended in the meantime. */
async function appendPart(
  ctx: ServiceContext,
  upload: UploadRow,
  { key, start }: { key: string; start: number },
  { signal, assertWriter }: Joining,
): Promise<UploadRow | null> {
  const { blobs } = ctx
  let grown: UploadRow | null = upload
  const ended = new AbortController()
  const commit = async (offset: number) => {
    grown = grown && (await commitOffset(ctx, grown, offset))
    if (!grown) ended.abort()
  }
  // What is kept can be read from; adopted twice it stays where it is.
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

/** A part that has served, or will never: it ends without a file. */
async function letGo(ctx: ServiceContext, part: UploadRow) {
  await inTransaction(ctx, (s) => terminateUpload(s, { id: part.id }, 'CANCELED'))
  if (isPartial(part)) await deletePart(ctx.blobs, part.id)
}
