import { createHash } from 'node:crypto'
import type { Readable } from 'node:stream'
import { StorageError } from '../errors.ts'
import type { BlobStore } from './blob-store.ts'
import { isMissing } from './disk/errors.ts'

/** What the bytes of a key must be. */
export type Expected = { size: number; sha256: string }

/** What they can be instead: not there, fewer, or others. */
export type Damage = 'MISSING' | 'TRUNCATED' | 'CHANGED'

type Opens = Pick<BlobStore, 'open'>

/**
 * Reads a kept key from end to end and says what is wrong with it; null where it is as it must be. `pace` is awaited for each chunk's
 * bytes. StorageError, or whatever the disk or bucket says, where it cannot be read now: that says nothing of the bytes.
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

export function damageOf(expected: Expected, found: Expected): Damage | null {
  if (found.size < expected.size) return 'TRUNCATED'
  return found.sha256 === expected.sha256 ? null : 'CHANGED'
}

/** What one glance at a kept key says, without reading it: whether it is there, and long enough. */
export async function checkSize(blobs: Opens, key: string, size: number): Promise<Damage | null> {
  const last = Math.max(size, 1) - 1
  const source = await nullIfMissing(blobs.open(key, { start: last, end: last }))
  if (!source) return 'MISSING'
  let length = 0
  for await (const chunk of source) length += chunk.length
  return length === 0 && size > 0 ? 'TRUNCATED' : null
}

/** The first `size` bytes; null where the key is not kept. */
export const openOrNull = (blobs: Opens, key: string, size: number): Promise<Readable | null> =>
  nullIfMissing(blobs.open(key, size === 0 ? undefined : { start: 0, end: size - 1 }))

/** A disk says ENOENT; a bucket that has no such object gives no cause at all. Everything else is a fault that may pass. */
export async function nullIfMissing<T>(opening: Promise<T>): Promise<T | null> {
  return opening.catch((fault: unknown) => {
    if (!(fault instanceof StorageError)) throw fault
    if (fault.cause !== undefined && !isMissing(fault.cause)) throw fault
    return null
  })
}
