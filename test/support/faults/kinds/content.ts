import { createHash } from 'node:crypto'

/** Returns up to 11 KB of bytes derived from `name`. */
export function bytesOf(name: string): Buffer {
  const word = createHash('sha256').update(name).digest()
  return Buffer.concat(Array.from({ length: 100 + (word[0] ?? 0) }, () => word))
}
