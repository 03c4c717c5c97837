import type { Hash } from 'node:crypto'
import { createOrderedQueue } from '../../../concurrency/ordered-queue.ts'
import { wrapBucketError } from '../api/errors.ts'
import type { Bytes } from '../api/put-stream.ts'
import type { Staged, Tail } from '../multipart-state.ts'
import { joined } from '../staging/incomplete-parts.ts'
import type { MemoryBudget } from '../staging/memory-budget.ts'
import { type BufferPool, createPartBuffer } from '../staging/part-buffer.ts'
import { type Arrived, createPartWriter, type Stores } from './put-parts.ts'

/** How many parts of one upload are on their way at once, and how many bytes wait in memory for the rest of a part. */
export type UploadTuning = { partsAtOnce: number; largestTailBytes: number }

/** Bytes that are in the bucket, up to `end` without a gap, made of what was held and of the tails `from`. */
export type UploadedSegment = Arrived & { end: number; from: Tail[]; hash: Hash | undefined }

export type PartUploader = ReturnType<typeof createPartUploader>

/**
 * Takes bytes in behind those of `staged`, holds them in memory until there are enough for a part, and sends parts off, several at a
 * time. What does not make a part, or must make room for others, goes as a tail. The pieces come out of `sent`.
 */
export function createPartUploader(
  stores: Stores & { budget: MemoryBudget; pool: BufferPool },
  staged: Staged,
  sha256: Hash | undefined,
  { partsAtOnce, largestTailBytes }: UploadTuning,
) {
  const { budget, pool } = stores
  const { key, size, partSize, turn } = staged
  const sent = createOrderedQueue<UploadedSegment>(partsAtOnce)
  const put = createPartWriter(stores, staged)
  const arrivals = new Map<string, Promise<unknown>>()
  const held = createPartBuffer(pool, Math.min(partSize, largestTailBytes))
  let [heldFrom, partStart, tails] = [staged.length, staged.inParts, staged.tails]
  const made: string[] = []

  const holder = { held: held.length, spill: sendTail }
  budget.join(holder)
  const end = () => heldFrom + held.length()
  const isFull = () => end() >= partStart + partSize || held.length() >= largestTailBytes
  const room = () => Math.min(partStart + partSize - end(), largestTailBytes - held.length())

  async function add(chunk: Buffer) {
    for (let rest = chunk; rest.length > 0; ) {
      rest = rest.subarray(hold(rest))
      if (isFull()) await sendFull()
    }
  }

  function hold(chunk: Buffer): number {
    const taken = chunk.subarray(0, room())
    sha256?.update(taken)
    held.add(taken)
    return taken.length
  }

  async function sendFull() {
    await sent.slot()
    // Meanwhile others may have made room for themselves.
    if (isFull()) sendHeld()
  }

  const sendHeld = () => (end() >= partStart + partSize ? sendPart() : sendTail())

  function sendPart() {
    const [from, start] = [tails, partStart]
    ;[partStart, tails] = [end(), []]
    const number = Math.floor(start / partSize) + 1
    const isWhole = start === 0 && end() === size
    void send(from, (bytes) => (isWhole ? put.whole(bytes) : put.part(number, bytes)))
  }

  function sendTail() {
    if (held.length() === 0) return
    const { before, from } = absorbed(tails, held.length(), largestTailBytes)
    const start = from[0]?.start ?? heldFrom
    const tail = { name: `${start}-${turn}.${made.length}`, start, size: end() - start }
    made.push(tail.name)
    tails = [...before, tail]
    arrivals.set(
      tail.name,
      send(from, (bytes) => put.tail(tail, bytes)),
    )
  }

  function send(from: Tail[], put: (bytes: Bytes) => Promise<Arrived>) {
    budget.send(held.length())
    heldFrom = end()
    const { bytes, giveBack } = held.take()
    const piece = { end: heldFrom, from, hash: sha256?.copy() }
    const arrive = async () => {
      await Promise.all(from.map(({ name }) => arrivals.get(name)))
      sent.throwIfFailed()
      return { ...piece, ...(await put(joined(stores, key, from, bytes))) }
    }
    return sent.start(async () => {
      try {
        const piece = await arrive()
        // After a failure a socket may still be reading from it.
        giveBack()
        return piece
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
    /** The names of all tails that were sent off, arrived or not. */
    tailsMade: () => made,
    async add(batch: Buffer[]) {
      const bytes = batch.reduce((sum, chunk) => sum + chunk.length, 0)
      if (bytes > 0) await budget.take(bytes)
      for (const chunk of batch) await add(chunk)
    },
    /** Sends off what is held as a tail, at once. */
    spill: sendTail,
    /** Sends off the rest: of an upload that is all there the last part, or all of it. */
    async finish() {
      await sent.slot()
      if (end() === size && (held.length() > 0 || size === 0)) sendPart()
      else sendHeld()
      await sent.settled()
      sent.throwIfFailed()
    },
    /** Nothing runs any more, and nothing is held. */
    async close() {
      await sent.settled()
      budget.quit(holder)
      budget.free(held.take().bytes.length, { sent: false })
    },
  }
}

/** A tail takes those before it in that are no longer than what it has: however short the goes were, there are few tails. */
function absorbed(tails: Tail[], heldBytes: number, most: number) {
  let [first, bytes] = [tails.length, heldBytes]
  for (const { size } of tails.toReversed()) {
    if (size > bytes || size + bytes > most) break
    first -= 1
    bytes += size
  }
  return { before: tails.slice(0, first), from: tails.slice(first) }
}
