import { Readable } from 'node:stream'
import { createSingleFlight } from '../concurrency/single-flight.ts'
import { StorageError } from '../errors/availability.ts'
import type { BlobStore, StampedRead } from './blob-store.ts'
import { type Damage, damageOf, type Expected, nullIfMissing } from './verify.ts'

/** Maximum number of cached stamps; they take a few megabytes of memory. */
const MAX_STAMPS = 10_000

/** Two writes within one tick of the kernel's clock may leave the same time stamp. */
const CLOCK_TICK_MS = 1_000

/** How often a file is hashed again if it changes while it is hashed. */
const MAX_ATTEMPTS = 3

type Stamped = Required<Pick<BlobStore, 'openStamped'>>
type ConfirmDamage = (key: string, expected: Expected, damage: Damage) => Promise<Error>
type Range = { start: number; end?: number }

/**
 * Returns a function that opens keys whose bytes were verified while their file had its current stamp. A file
 * with another stamp is hashed first, once for all concurrent readers. The last chunk of a read is sent only
 * if the stamp is unchanged or the hash still matches, since creating a hard link changes the stamp too. On
 * damage it throws the error that `confirm` returns.
 */
export function unchangedReads(store: Stamped, confirm: ConfirmDamage) {
  const trusted = createStampCache()
  const verifyOnce = createSingleFlight<string | null>()

  return async function open(key: string, range: Range | undefined, expected: Expected) {
    const read = await nullIfMissing(store.openStamped(key, range))
    if (!read) throw await confirm(key, expected, 'MISSING')
    try {
      const stamp = await verifiedStamp(key, expected, read)
      return toReadable(holdLastChunk(key, expected, { read, stamp }), read)
    } catch (error) {
      read.bytes.destroy()
      throw error
    }
  }

  async function verifiedStamp(key: string, expected: Expected, read: StampedRead) {
    for (let attempt = 0; attempt < MAX_ATTEMPTS; attempt++) {
      const { id } = await read.stamp()
      if (trusted.has(key, id)) return id
      // A concurrent request may have verified another file of this name.
      if (id === (await verifyOnce(key, () => verify(key, expected, read)))) return id
    }
    throw new StorageError(`${key} changed ${MAX_ATTEMPTS} times while it was verified`)
  }

  /** Returns the stamp of the verified file, or null if the file changed while it was hashed. */
  async function verify(key: string, expected: Expected, read: StampedRead) {
    const before = await read.stamp()
    const damage = damageOf(expected, await read.hash(expected.size))
    if (damage) throw await confirm(key, expected, damage)
    if ((await read.stamp()).id !== before.id) return null
    if (before.changedAt < Date.now() - CLOCK_TICK_MS) trusted.add(key, before.id)
    return before.id
  }
}

function toReadable(chunks: AsyncGenerator<Buffer>, { bytes }: StampedRead): Readable {
  const checked = Readable.from(chunks, { objectMode: false })
  // If the stream is destroyed before its first read, the generator never starts and does not close the file.
  return checked.once('close', () => bytes.destroy())
}

async function* holdLastChunk(
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

function createStampCache() {
  const stamps = new Map<string, string>()
  const add = (key: string, stamp: string) => {
    stamps.delete(key)
    stamps.set(key, stamp)
    const [oldest] = stamps.keys()
    if (stamps.size > MAX_STAMPS && oldest) stamps.delete(oldest)
  }
  return {
    add,
    /** Re-inserts the key, so that the least recently used one is evicted first. */
    has(key: string, stamp: string) {
      if (stamps.get(key) !== stamp) return false
      add(key, stamp)
      return true
    },
  }
}
