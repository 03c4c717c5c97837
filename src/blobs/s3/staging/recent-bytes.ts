import type { Hash } from 'node:crypto'
import { createRunningHashes } from '../../streams/running-hash.ts'

/** Number of first bytes that are cached for a confirm, which detects the content type. */
const HEAD_BYTES = 4_100
const MAX_HEADS = 2_000

/** Cached state of bytes that passed through this process, which saves reading them from the bucket. */
export type RecentBytes = { sha256: Hash | undefined; head: Head | undefined }
export type Head = { bytes: Buffer; add: (chunk: Buffer) => void }

/**
 * Caches the state of each key after the append with a given fencing token: another process that writes later
 * has another token. A lost state costs reading the bytes again.
 */
export function createRecentBytes() {
  const hashes = createRunningHashes()
  const heads = new Map<string, Buffer>()
  const name = (key: string, fencingToken: number) => `${key} ${fencingToken}`
  return {
    /** Returns the state of the first `offset` bytes after the append with this fencing token. */
    at(key: string, fencingToken: number, offset: number): RecentBytes {
      const sha256 = hashes.at(name(key, fencingToken), offset)
      const head = offset === 0 ? Buffer.alloc(0) : heads.get(name(key, fencingToken))
      const known = head && head.length >= Math.min(offset, HEAD_BYTES)
      return { sha256, head: known ? createHead(head.subarray(0, offset)) : undefined }
    },
    set(key: string, fencingToken: number, offset: number, sha256: Hash | undefined, head?: Head) {
      if (sha256) hashes.set(name(key, fencingToken), offset, sha256)
      if (head) heads.set(name(key, fencingToken), head.bytes)
      for (const [oldest] of heads) {
        if (heads.size <= MAX_HEADS) break
        heads.delete(oldest)
      }
    },
    /** Returns the first `length` bytes of a key with `of` bytes in total, if they are cached. */
    head(key: string, fencingToken: number, { length, of }: { length: number; of: number }) {
      const head = heads.get(name(key, fencingToken))
      return head && head.length >= Math.min(length, of)
        ? head.subarray(0, Math.min(length, of))
        : undefined
    },
    delete(key: string, fencingToken: number) {
      hashes.delete(name(key, fencingToken))
      heads.delete(name(key, fencingToken))
    },
  }
}

function createHead(bytes: Buffer): Head {
  const head = {
    bytes,
    add(chunk: Buffer) {
      const capacity = HEAD_BYTES - head.bytes.length
      if (capacity > 0) head.bytes = Buffer.concat([head.bytes, chunk.subarray(0, capacity)])
    },
  }
  return head
}
