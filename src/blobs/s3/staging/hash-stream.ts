import { createHash } from 'node:crypto'
import type { Readable } from 'node:stream'
import { StorageError } from '../../../errors/availability.ts'

/**
 * Returns the sha256 (hex) of the first `size` bytes. Throws StorageError if `stream` is null or has fewer.
 */
export async function hashStream(stream: Readable | null, size: number): Promise<string> {
  const hash = createHash('sha256')
  let length = 0
  for await (const chunk of stream ?? []) {
    hash.update(chunk.subarray(0, size - length))
    length = Math.min(size, length + chunk.length)
  }
  if (!stream || length < size) {
    throw new StorageError(`expected ${size} bytes, found ${length}`)
  }
  return hash.digest('hex')
}
