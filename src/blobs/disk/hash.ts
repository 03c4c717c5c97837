import { createHash } from 'node:crypto'
import type { FileHandle } from 'node:fs/promises'
import { StorageError } from '../../errors/availability.ts'

/**
 * Returns the sha256 (hex) of the first `size` bytes. Throws StorageError if there are fewer. Hashing 256 KiB
 * at a time on this thread delays other requests by a fraction of a millisecond, and a worker thread would
 * hardly be faster.
 */
export async function hashFile(file: FileHandle, size: number) {
  const hash = createHash('sha256')
  const buffer = Buffer.allocUnsafe(256 * 1024)
  for (let offset = 0; offset < size; ) {
    const { bytesRead } = await file.read(buffer, 0, Math.min(buffer.length, size - offset), offset)
    if (bytesRead === 0) throw new StorageError(`expected ${size} bytes, found ${offset}`)
    hash.update(buffer.subarray(0, bytesRead))
    offset += bytesRead
  }
  return hash.digest('hex')
}
