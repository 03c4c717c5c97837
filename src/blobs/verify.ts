import { createHash } from 'node:crypto'
import type { Readable } from 'node:stream'
import { StorageError } from '../errors/availability.ts'
import type { BlobStore } from './blob-store.ts'
import { isMissing } from './disk/errors.ts'

/** The expected size in bytes and sha256 (hex) of a blob. */
export type Expected = { size: number; sha256: string }

/** How bytes can be damaged: no bytes, fewer bytes, or other bytes. */
export type Damage = 'MISSING' | 'TRUNCATED' | 'CHANGED'

type Opens = Pick<BlobStore, 'open'>

/**
 * Reads a committed key to its end and returns its damage, or null if it is intact. `pace` is awaited after
 * each chunk. Throws StorageError, or the error of the disk or bucket, if the key cannot be read now; such an
 * error does not mean that the bytes are damaged.
 */
export async function verify(
  blobs: Opens,
  key: string,
  { size, sha256 }: Expected,
  pace: (bytes: number) => Promise<unknown> | undefined = () => undefined,
): Promise<Damage | null> {
  const source = await openOrNull(blobs, key, size)
  if (!source) return 'MISSING'
  const hash = createHash('sha256')
  let length = 0
  try {
    for await (const chunk of source) {
      hash.update(chunk)
      length += chunk.length
      await pace(chunk.length)
    }
  } finally {
    source.destroy()
  }
  return damageOf({ size, sha256 }, { size: length, sha256: hash.digest('hex') })
}

/** Returns how the bytes that were found differ from the expected ones, or null if they are intact. */
export function damageOf(expected: Expected, found: Expected): Damage | null {
  if (found.size < expected.size) return 'TRUNCATED'
  return found.sha256 === expected.sha256 ? null : 'CHANGED'
}

/** Checks without reading the whole blob whether a committed key exists and has at least `size` bytes. */
export async function checkSize(blobs: Opens, key: string, size: number): Promise<Damage | null> {
  const last = Math.max(size, 1) - 1
  const source = await nullIfMissing(blobs.open(key, { start: last, end: last }))
  if (!source) return 'MISSING'
  let length = 0
  for await (const chunk of source) length += chunk.length
  return length === 0 && size > 0 ? 'TRUNCATED' : null
}

/** Opens the first `size` bytes; returns null if the key is not committed. */
export const openOrNull = (blobs: Opens, key: string, size: number): Promise<Readable | null> =>
  nullIfMissing(blobs.open(key, size === 0 ? undefined : { start: 0, end: size - 1 }))

/**
 * Returns null if `opening` fails because the key does not exist: ENOENT on a disk, a StorageError without a
 * cause from a bucket. Other errors may be temporary and are rethrown.
 */
export async function nullIfMissing<T>(opening: Promise<T>): Promise<T | null> {
  return opening.catch((error: unknown) => {
    if (!(error instanceof StorageError)) throw error
    if (error.cause !== undefined && !isMissing(error.cause)) throw error
    return null
  })
}
