import { createHash } from 'node:crypto'
import { Readable } from 'node:stream'
import { createSingleFlight } from '../concurrency/single-flight.ts'
import type { Config } from '../config.ts'
import { CorruptBlob, StorageError } from '../errors.ts'
import type { BlobStore } from './blob-store.ts'
import { unchangedReads } from './unchanged-reads.ts'
import { type Damage, damageOf, type Expected, openOrNull, verify } from './verify.ts'

type Watch = {
  /** What a key must be, and whether it was found to be something else; null for what is not known, and not watched. */
  expected: (key: string) => Promise<(Expected & { damaged: boolean }) | null>
  /** Which reads are verified: of all keys, of those up to SMALL_BYTES, or of none. */
  verifies: Config['verifyReads']
  /** Is told what was found, twice, before whoever reads is told. */
  onFlaw: (key: string, flaw: Damage) => Promise<unknown>
  now: () => number
}

/** The largest key that `small` verifies. */
const SMALL_BYTES = 64 * 1024 * 1024

/** So long a key that was read and found right is believed in. */
const BELIEVED_MS = 600_000
const MOST_BELIEVED = 10_000

/**
 * The same store, of which `open` gives no bytes that are known to be wrong: CorruptBlob. With `all` they are
 * hashed at every read: a key that is read whole on its way, and its last bytes are held back until the hash
 * is right; of one that is read in part, all of it first, and for ten minutes that is remembered. With
 * `small` keys up to SMALL_BYTES are hashed when their file is not as it was when it was last hashed; where
 * the store has no stamps, they are read as with `all`.
 */
export function verifyingStore(store: BlobStore, watch: Watch): BlobStore {
  const believed = beliefs(watch.now)
  const proving = createSingleFlight<void>()
  const { openStamped } = store
  const openUnchanged = openStamped && unchangedReads({ openStamped }, confirmed)
  const isVerified = ({ size }: Expected) =>
    watch.verifies === 'all' || (watch.verifies === 'small' && size <= SMALL_BYTES)

  async function prove(key: string, expected: Expected) {
    const flaw = await verify(store, key, expected)
    if (flaw) throw await confirmed(key, expected, flaw)
    believed.add(key)
  }

  /** What is wrong once may have been changed on its way here; wrong twice, it is written down. */
  async function confirmed(key: string, expected: Expected, first: Damage) {
    const flaw = await verify(store, key, expected)
    if (!flaw) return new StorageError(`${key} was ${first}, and is not now`)
    await watch.onFlaw(key, flaw)
    return new CorruptBlob()
  }

  async function openWhole(key: string, expected: Expected) {
    const source = await openOrNull(store, key, expected.size)
    if (!source) throw await confirmed(key, expected, 'MISSING')
    const proven = Readable.from(
      heldBack(source, async (found) => {
        const flaw = damageOf(expected, found)
        if (flaw) throw await confirmed(key, expected, flaw)
        believed.add(key)
      }),
      { objectMode: false },
    )
    // Destroyed before its first byte was asked for, the generator would never have begun.
    return proven.once('close', () => source.destroy())
  }

  return {
    ...store,
    async open(key, range) {
      const expected = await watch.expected(key)
      if (expected?.damaged) throw new CorruptBlob()
      if (!expected || !isVerified(expected)) return store.open(key, range)
      if (watch.verifies === 'small' && openUnchanged) return openUnchanged(key, range, expected)
      if (isWhole(range, expected.size)) return openWhole(key, expected)
      if (!believed.has(key)) await proving(key, () => prove(key, expected))
      return store.open(key, range)
    },
  }
}

const isWhole = (range: { start: number; end?: number } | undefined, size: number) =>
  !range || (range.start === 0 && (range.end ?? size - 1) >= size - 1)

/** All of it, the last chunk only after `judge` has let it pass. */
async function* heldBack(source: Readable, judge: (found: Expected) => Promise<void>) {
  const hash = createHash('sha256')
  let [size, held]: [number, Buffer | null] = [0, null]
  for await (const chunk of source) {
    hash.update(chunk)
    size += chunk.length
    if (held) yield held
    held = chunk
  }
  await judge({ size, sha256: hash.digest('hex') })
  if (held) yield held
}

function beliefs(now: () => number) {
  const until = new Map<string, number>()
  return {
    has: (key: string) => (until.get(key) ?? 0) > now(),
    add(key: string) {
      until.delete(key)
      until.set(key, now() + BELIEVED_MS)
      const [eldest] = until.keys()
      if (until.size > MOST_BELIEVED && eldest) until.delete(eldest)
    },
  }
}
