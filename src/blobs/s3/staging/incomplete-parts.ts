import { Readable } from 'node:stream'
import { StorageError } from '../../../errors.ts'
import type { Bucket } from '../api/bucket.ts'
import type { Bytes } from '../api/put-stream.ts'
import type { Tail } from '../multipart-state.ts'
import type { ObjectKeys } from '../object-keys.ts'

export type IncompletePartStores = { bucket: Bucket; places: ObjectKeys }

const sum = (tails: Tail[]) => tails.reduce((bytes, { size }) => bytes + size, 0)

/** The bytes of `tails` and, behind them, `rest`; read from the bucket while they are sent, not held in memory. */
export function joined(
  stores: IncompletePartStores,
  key: string,
  tails: Tail[],
  rest: Buffer = Buffer.alloc(0),
): Bytes {
  if (tails.length === 0) return rest
  const open = () => openIncompleteParts(stores, key, tails, rest)
  return { length: sum(tails) + rest.length, open }
}

export const openIncompleteParts = (
  stores: IncompletePartStores,
  key: string,
  tails: Tail[],
  rest: Buffer = Buffer.alloc(0),
) => Readable.from(chained(stores, key, tails, rest), { objectMode: false })

async function* chained(stores: IncompletePartStores, key: string, tails: Tail[], rest: Buffer) {
  for (const tail of tails) yield* await openTail(stores, key, tail)
  if (rest.length > 0) yield rest
}

async function openTail(
  { bucket, places }: IncompletePartStores,
  key: string,
  { name, size }: Tail,
) {
  const found = await bucket.get(places.tail(key, name), { end: size - 1 })
  if (!found) throw new StorageError(`${size} bytes of ${key} should be there, and are not`)
  return found
}

/** What stays behind where this fails, the sweeper takes. */
export const removeIncompleteParts = (
  { bucket, places }: IncompletePartStores,
  key: string,
  names: string[],
) => Promise.allSettled(names.map((name) => bucket.remove(places.tail(key, name))))

/** The tails that hold the bytes from `start` to `end`, the last one cut to that; null where some are missing. */
export function incompletePartsBetween(tails: Tail[], start: number, end: number): Tail[] | null {
  const chain: Tail[] = []
  let at = start
  for (const tail of tails) {
    if (tail.start !== at || at >= end) continue
    const size = Math.min(tail.size, end - at)
    chain.push({ ...tail, size })
    at += size
  }
  return at === end ? chain : null
}
