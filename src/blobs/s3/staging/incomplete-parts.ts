import { Readable } from 'node:stream'
import { StorageError } from '../../../errors/availability.ts'
import type { Bucket } from '../api/bucket.ts'
import type { Bytes } from '../api/put-stream.ts'
import type { IncompletePart } from '../multipart-state.ts'
import type { ObjectKeys } from '../object-keys.ts'

export type IncompletePartStores = { bucket: Bucket; objectKeys: ObjectKeys }

const sum = (incompleteParts: IncompletePart[]) =>
  incompleteParts.reduce((bytes, { size }) => bytes + size, 0)

/**
 * Returns the bytes of the incomplete parts followed by `rest`. They are streamed from the bucket, not held
 * in memory.
 */
export function concatParts(
  stores: IncompletePartStores,
  key: string,
  incompleteParts: IncompletePart[],
  rest: Buffer = Buffer.alloc(0),
): Bytes {
  if (incompleteParts.length === 0) return rest
  const open = () => openIncompleteParts(stores, key, incompleteParts, rest)
  return { length: sum(incompleteParts) + rest.length, open }
}

/**
 * Opens the bytes of the incomplete parts followed by `rest`. The stream fails if an incomplete part is
 * missing.
 */
export const openIncompleteParts = (
  stores: IncompletePartStores,
  key: string,
  incompleteParts: IncompletePart[],
  rest: Buffer = Buffer.alloc(0),
) => Readable.from(readParts(stores, key, incompleteParts, rest), { objectMode: false })

async function* readParts(
  stores: IncompletePartStores,
  key: string,
  incompleteParts: IncompletePart[],
  rest: Buffer,
) {
  for (const incompletePart of incompleteParts)
    yield* await openIncompletePart(stores, key, incompletePart)
  if (rest.length > 0) yield rest
}

async function openIncompletePart(
  { bucket, objectKeys }: IncompletePartStores,
  key: string,
  { name, size }: IncompletePart,
) {
  const found = await bucket.get(objectKeys.incompletePart(key, name), { end: size - 1 })
  if (!found) throw new StorageError(`${size} staged bytes of ${key} are missing in the bucket`)
  return found
}

/** Deletes incomplete parts; the sweeper deletes those for which this fails. */
export const removeIncompleteParts = (
  { bucket, objectKeys }: IncompletePartStores,
  key: string,
  names: string[],
) => Promise.allSettled(names.map((name) => bucket.remove(objectKeys.incompletePart(key, name))))

/**
 * Returns the incomplete parts that hold the bytes from `start` to `end`, the last one shortened to that;
 * null if some are missing.
 */
export function incompletePartsBetween(
  incompleteParts: IncompletePart[],
  start: number,
  end: number,
): IncompletePart[] | null {
  const chain: IncompletePart[] = []
  let at = start
  for (const incompletePart of incompleteParts) {
    if (incompletePart.start !== at || at >= end) continue
    const size = Math.min(incompletePart.size, end - at)
    chain.push({ ...incompletePart, size })
    at += size
  }
  return at === end ? chain : null
}
