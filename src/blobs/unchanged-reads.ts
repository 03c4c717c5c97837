import { Readable } from 'node:stream'
import { createSingleFlight } from '../concurrency/single-flight.ts'
import { StorageError } from '../errors.ts'
import type { BlobStore, StampedRead } from './blob-store.ts'
import { type Damage, damageOf, type Expected, nullIfMissing } from './verify.ts'

/** So many stamps are remembered: some megabytes of memory. */
const MAX_TRUSTED = 10_000

/** A file that is written twice within a tick of the kernel's clock shows one time for both. */
const TICK_MS = 1_000

/** How often a file is hashed anew that changes while it is hashed. */
const MAX_ATTEMPTS = 3

type Stamped = Required<Pick<BlobStore, 'openStamped'>>
type Confirm = (key: string, expected: Expected, flaw: Damage) => Promise<Error>
type Range = { start: number; end?: number }

/**
 * Opens keys whose bytes were hashed and found right while their file had the stamp that it has now. A file
 * with another stamp is hashed first, once for all who ask at the same moment. The last bytes of a read go
 * out when the stamp is still the same, or the hash still right: links to a file come and go. Throws what
 * `confirm` makes of a flaw.
 */
export function unchangedReads(store: Stamped, confirm: Confirm) {
  const trusted = createTrusted()
  const verifyOnce = createSingleFlight<string | null>()

  return async function open(key: string, range: Range | undefined, expected: Expected) {
    const read = await nullIfMissing(store.openStamped(key, range))
    if (!read) throw await confirm(key, expected, 'MISSING')
    try {
      const stamp = await verifiedStamp(key, expected, read)
      return untilChanged(heldUntilChecked(key, expected, { read, stamp }), read)
    } catch (error) {
      read.bytes.destroy()
      throw error
    }
  }

  async function verifiedStamp(key: string, expected: Expected, read: StampedRead) {
    for (let attempt = 0; attempt < MAX_ATTEMPTS; attempt++) {
      const { id } = await read.stamp()
      if (trusted.has(key, id)) return id
      // Another request may have verified another file of this name.
      if (id === (await verifyOnce(key, () => verify(key, expected, read)))) return id
    }
    throw new StorageError(`${key} changes while it is read`)
  }

  /** The stamp of the file that was found right; null where it changed meanwhile. */
  async function verify(key: string, expected: Expected, read: StampedRead) {
    const before = await read.stamp()
    const flaw = damageOf(expected, await read.hash(expected.size))
    if (flaw) throw await confirm(key, expected, flaw)
    if ((await read.stamp()).id !== before.id) return null
    if (before.changedAt < Date.now() - TICK_MS) trusted.add(key, before.id)
    return before.id
  }
}

function untilChanged(chunks: AsyncGenerator<Buffer>, { bytes }: StampedRead): Readable {
  const checked = Readable.from(chunks, { objectMode: false })
  // Destroyed before its first byte was asked for, the generator would never have begun.
  return checked.once('close', () => bytes.destroy())
}

async function* heldUntilChecked(
  key: string,
  expected: Expected,
  { read, stamp }: { read: StampedRead; stamp: string },
) {
  let held: Buffer | null = null
  for await (const chunk of read.bytes) {
    if (held) yield held
    held = chunk
  }
  const isSame = (await read.stamp()).id === stamp
  if (!isSame && damageOf(expected, await read.hash(expected.size)))
    throw new StorageError(`${key} changed while it was read`)
  if (held) yield held
}

function createTrusted() {
  const stamps = new Map<string, string>()
  const add = (key: string, stamp: string) => {
    stamps.delete(key)
    stamps.set(key, stamp)
    const [oldest] = stamps.keys()
    if (stamps.size > MAX_TRUSTED && oldest) stamps.delete(oldest)
  }
  return {
    add,
    /** What is used stays longest. */
    has(key: string, stamp: string) {
      if (stamps.get(key) !== stamp) return false
      add(key, stamp)
      return true
    },
  }
}
