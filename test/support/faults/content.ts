import { createHash } from 'node:crypto'

/** Some thousand bytes that are told from others; the same for the same name. */
export function bytesOf(name: string): Buffer {
  const word = createHash('sha256').update(name).digest()
  return Buffer.concat(Array.from({ length: 100 + (word[0] ?? 0) }, () => word))
}
