import { createHash } from 'node:crypto'
import type { FileHandle } from 'node:fs/promises'
import { StorageError } from '../../errors.ts'

/**
 * sha256 of the first `size` bytes. On this thread, by pieces of 256 KiB: every other request waits a fraction of a
 * millisecond longer for its turn, and a worker thread is hardly faster.
 */
export async function hashFile(file: FileHandle, size: number) {
  const hash = createHash('sha256')
  const piece = Buffer.allocUnsafe(256 * 1024)
  for (let offset = 0; offset < size; ) {
    const { bytesRead } = await file.read(piece, 0, Math.min(piece.length, size - offset), offset)
    if (bytesRead === 0) throw new StorageError(`${size} bytes should be there, ${offset} are`)
    hash.update(piece.subarray(0, bytesRead))
    offset += bytesRead
  }
  return hash.digest('hex')
}
