import { createHash } from 'node:crypto'
import { Readable } from 'node:stream'
import { createSingleFlight } from '../concurrency/single-flight.ts'
import type { Config } from '../config/config.ts'
import { CorruptBlob, StorageError } from '../errors/availability.ts'
import type { BlobStore } from './blob-store.ts'
import { unchangedReads } from './unchanged-reads.ts'
import { type Damage, damageOf, type Expected, openOrNull, verify } from './verify.ts'

type VerifyOptions = {
  /**
   * Returns the expected size and hash of a key and whether it is known to be damaged, or null for a key that
   * is not verified.
   */
  expected: (key: string) => Promise<(Expected & { damaged: boolean }) | null>
  /** Which reads are verified: of all keys, of keys up to SMALL_BYTES, or of none. */
  verifies: Config['verifyReads']
  /** Called with confirmed damage before the reader gets an error. */
  onDamage: (key: string, damage: Damage) => Promise<unknown>
  now: () => number
}

/** The size of the largest key that `small` verifies. */
const SMALL_BYTES = 64 * 1024 * 1024

/** How long a verified key counts as intact. */
const VERIFIED_TTL_MS = 600_000
const MAX_VERIFIED = 10_000

/**
 * Wraps a store so that `open` never returns bytes that are known to be damaged; it throws CorruptBlob
 * instead.
 *
 * With `all`, every read is verified. A read of the whole key is hashed while it is sent, and its last chunk
 * is held back until the hash matches. Before a read of a range, the whole key is hashed and then counts as
 * intact for ten minutes. With `small`, keys up to SMALL_BYTES are hashed if their file has changed since it
 * was last hashed; a store without stamps reads them as with `all`.
 */
export function verifyingStore(store: BlobStore, options: VerifyOptions): BlobStore {
  const verified = createVerifiedKeys(options.now)
  const verifyOnce = createSingleFlight<void>()
  const { openStamped } = store
  const openUnchanged = openStamped && unchangedReads({ openStamped }, confirmDamage)
  const isVerified = ({ size }: Expected) =>
    options.verifies === 'all' || (options.verifies === 'small' && size <= SMALL_BYTES)

  async function requireIntact(key: string, expected: Expected) {
    const damage = await verify(store, key, expected)
    if (damage) throw await confirmDamage(key, expected, damage)
    verified.add(key)
  }

  /**
   * Reads the key a second time, because bytes can also be damaged in transit. Damage is recorded only if it
   * is found twice.
   */
  async function confirmDamage(key: string, expected: Expected, first: Damage) {
    const damage = await verify(store, key, expected)
    if (!damage)
      return new StorageError(`${key} was ${first} at the first read and intact at the second`)
    await options.onDamage(key, damage)
    return new CorruptBlob()
  }

  async function openWhole(key: string, expected: Expected) {
    const source = await openOrNull(store, key, expected.size)
    if (!source) throw await confirmDamage(key, expected, 'MISSING')
    const bytes = Readable.from(
      holdLastChunk(source, async (found) => {
        const damage = damageOf(expected, found)
        if (damage) throw await confirmDamage(key, expected, damage)
        verified.add(key)
      }),
      { objectMode: false },
    )
    // If the stream is destroyed before its first read, the generator never starts and does not close the
    // source.
    return bytes.once('close', () => source.destroy())
  }

  return {
    ...store,
    async open(key, range) {
      const expected = await options.expected(key)
      if (expected?.damaged) throw new CorruptBlob()
      if (!expected || !isVerified(expected)) return store.open(key, range)
      if (options.verifies === 'small' && openUnchanged) return openUnchanged(key, range, expected)
      if (isWhole(range, expected.size)) return openWhole(key, expected)
      if (!verified.has(key)) await verifyOnce(key, () => requireIntact(key, expected))
      return store.open(key, range)
    },
  }
}

const isWhole = (range: { start: number; end?: number } | undefined, size: number) =>
  !range || (range.start === 0 && (range.end ?? size - 1) >= size - 1)

/** Yields all chunks, the last one only after `assertIntact` has resolved. */
async function* holdLastChunk(source: Readable, assertIntact: (found: Expected) => Promise<void>) {
  const hash = createHash('sha256')
  let [size, held]: [number, Buffer | null] = [0, null]
  for await (const chunk of source) {
    hash.update(chunk)
    size += chunk.length
    if (held) yield held
    held = chunk
  }
  await assertIntact({ size, sha256: hash.digest('hex') })
  if (held) yield held
}

function createVerifiedKeys(now: () => number) {
  const until = new Map<string, number>()
  return {
    has: (key: string) => (until.get(key) ?? 0) > now(),
    add(key: string) {
      until.delete(key)
      until.set(key, now() + VERIFIED_TTL_MS)
      const [oldest] = until.keys()
      if (until.size > MAX_VERIFIED && oldest) until.delete(oldest)
    },
  }
}
