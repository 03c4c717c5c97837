import type { Hash } from 'node:crypto'
import { createOrderedQueue } from '../../../concurrency/ordered-queue.ts'
import { wrapBucketError } from '../api/errors.ts'
import type { Bytes } from '../api/put-stream.ts'
import type { IncompletePart, Staged } from '../multipart-state.ts'
import { concatParts } from '../staging/incomplete-parts.ts'
import type { MemoryBudget } from '../staging/memory-budget.ts'
import { type BufferPool, createPartBuffer } from '../staging/part-buffer.ts'
import { createPartWriter, type Stored, type Stores } from './put-parts.ts'

/**
 * `partConcurrency`: maximum number of parts of one upload that are sent at a time. `maxIncompletePartBytes`:
 * maximum number of bytes of one upload that are buffered in memory until they fill a part.
 */
export type UploadTuning = { partConcurrency: number; maxIncompletePartBytes: number }

/**
 * Bytes that the bucket has stored, without a gap up to `end`; they consist of buffered bytes and of the
 * incomplete parts `from`.
 */
export type UploadedSegment = Stored & {
  end: number
  from: IncompletePart[]
  hash: Hash | undefined
}

export type PartUploader = ReturnType<typeof createPartUploader>

/**
 * Appends bytes to those of `staged`, buffers them until they fill a part, and sends parts concurrently.
 * Bytes that do not fill a part, or whose memory other uploads need, are sent as incomplete parts. `sent`
 * yields the stored segments in order.
 */
export function createPartUploader(
  stores: Stores & { budget: MemoryBudget; pool: BufferPool },
  staged: Staged,
  sha256: Hash | undefined,
  { partConcurrency, maxIncompletePartBytes }: UploadTuning,
) {
  const { budget, pool } = stores
  const { key, size, partSize, fencingToken } = staged
  const sent = createOrderedQueue<UploadedSegment>(partConcurrency)
  const put = createPartWriter(stores, staged)
  const pending = new Map<string, Promise<unknown>>()
  const held = createPartBuffer(pool, Math.min(partSize, maxIncompletePartBytes))
  let [heldFrom, partStart, incompleteParts] = [
    staged.length,
    staged.inParts,
    staged.incompleteParts,
  ]
  const names: string[] = []

  const holder = { held: held.length, spill: sendIncompletePart }
  budget.join(holder)
  const end = () => heldFrom + held.length()
  const isFull = () => end() >= partStart + partSize || held.length() >= maxIncompletePartBytes
  const capacity = () =>
    Math.min(partStart + partSize - end(), maxIncompletePartBytes - held.length())

  async function add(chunk: Buffer) {
    for (let rest = chunk; rest.length > 0; ) {
      rest = rest.subarray(buffer(rest))
      if (isFull()) await sendFull()
    }
  }

  function buffer(chunk: Buffer): number {
    const taken = chunk.subarray(0, capacity())
    sha256?.update(taken)
    held.add(taken)
    return taken.length
  }

  async function sendFull() {
    await sent.slot()
    // In the meantime, another upload may have needed the memory, so that the buffer was sent.
    if (isFull()) sendHeld()
  }

  const sendHeld = () => (end() >= partStart + partSize ? sendPart() : sendIncompletePart())

  function sendPart() {
    const [from, start] = [incompleteParts, partStart]
    ;[partStart, incompleteParts] = [end(), []]
    const number = Math.floor(start / partSize) + 1
    const isWhole = start === 0 && end() === size
    void send(from, (bytes) => (isWhole ? put.whole(bytes) : put.part(number, bytes)))
  }

  function sendIncompletePart() {
    if (held.length() === 0) return
    const { before, from } = splitAbsorbed(incompleteParts, held.length(), maxIncompletePartBytes)
    const start = from[0]?.start ?? heldFrom
    const incompletePart = {
      name: `${start}-${fencingToken}.${names.length}`,
      start,
      size: end() - start,
    }
    names.push(incompletePart.name)
    incompleteParts = [...before, incompletePart]
    pending.set(
      incompletePart.name,
      send(from, (bytes) => put.incompletePart(incompletePart, bytes)),
    )
  }

  function send(from: IncompletePart[], put: (bytes: Bytes) => Promise<Stored>) {
    budget.send(held.length())
    heldFrom = end()
    const { bytes, releaseBuffer } = held.take()
    const segment = { end: heldFrom, from, hash: sha256?.copy() }
    const store = async () => {
      await Promise.all(from.map(({ name }) => pending.get(name)))
      sent.throwIfFailed()
      return { ...segment, ...(await put(concatParts(stores, key, from, bytes))) }
    }
    return sent.start(async () => {
      try {
        const segment = await store()
        // Not after a failure: a socket may still read from the buffer.
        releaseBuffer()
        return segment
      } catch (cause) {
        return wrapBucketError(`${key} could not be written`)(cause)
      } finally {
        budget.free(bytes.length, { sent: true })
      }
    })
  }

  return {
    sent,
    end,
    /** Returns the names of all incomplete parts that were sent, whether stored or not. */
    incompletePartNames: () => names,
    async add(batch: Buffer[]) {
      const bytes = batch.reduce((sum, chunk) => sum + chunk.length, 0)
      if (bytes > 0) await budget.take(bytes)
      for (const chunk of batch) await add(chunk)
    },
    /** Sends the buffered bytes at once as an incomplete part. */
    spill: sendIncompletePart,
    /**
     * Sends the rest: the last part, or the whole object, if the upload is complete, else an incomplete part.
     */
    async finish() {
      await sent.slot()
      if (end() === size && (held.length() > 0 || size === 0)) sendPart()
      else sendHeld()
      await sent.settled()
      sent.throwIfFailed()
    },
    /** Waits for all requests and frees the buffer. */
    async close() {
      await sent.settled()
      budget.quit(holder)
      budget.free(held.take().bytes.length, { sent: false })
    },
  }
}

/**
 * Splits the incomplete parts into those that stay and those that the new one absorbs, because they are no
 * longer than its own bytes. This keeps their number small, however short each append is.
 */
function splitAbsorbed(incompleteParts: IncompletePart[], newBytes: number, maxBytes: number) {
  let [first, bytes] = [incompleteParts.length, newBytes]
  for (const { size } of incompleteParts.toReversed()) {
    if (size > bytes || size + bytes > maxBytes) break
    first -= 1
    bytes += size
  }
  return { before: incompleteParts.slice(0, first), from: incompleteParts.slice(first) }
}
