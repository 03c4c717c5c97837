import type { Hash } from 'node:crypto'
import { runningHashes } from '../../streams/running-hash.ts'

/** So many of the first bytes are kept at hand: what a confirm looks at to tell the type of a file. */
const HEAD_BYTES = 4_100
const HEADS = 2_000

/** What is known of bytes that passed through this process, and that the bucket would have to be asked for. */
export type RecentBytes = { sha256: Hash | undefined; head: Head | undefined }
export type Head = { bytes: Buffer; add: (chunk: Buffer) => void }

/**
 * Of each key the state after the append of one turn: another process may have written since, and would have had another turn. A
 * state lost costs reading the bytes once more.
 */
export function recentBytes() {
  const hashes = runningHashes()
  const heads = new Map<string, Buffer>()
  const name = (key: string, turn: number) => `${key} ${turn}`
  return {
    /** The state of the first `offset` bytes as turn `turn` left them, to go on with. */
    at(key: string, turn: number, offset: number): RecentBytes {
      const sha256 = hashes.at(name(key, turn), offset)
      const head = offset === 0 ? Buffer.alloc(0) : heads.get(name(key, turn))
      const known = head && head.length >= Math.min(offset, HEAD_BYTES)
      return { sha256, head: known ? growing(head.subarray(0, offset)) : undefined }
    },
    keep(key: string, turn: number, offset: number, sha256: Hash | undefined, head?: Head) {
      if (sha256) hashes.keep(name(key, turn), offset, sha256)
      if (head) heads.set(name(key, turn), head.bytes)
      for (const [eldest] of heads) {
        if (heads.size <= HEADS) break
        heads.delete(eldest)
      }
    },
    /** The first `length` bytes of a key that has `of` in all, where they are at hand. */
    head(key: string, turn: number, { length, of }: { length: number; of: number }) {
      const head = heads.get(name(key, turn))
      return head && head.length >= Math.min(length, of)
        ? head.subarray(0, Math.min(length, of))
        : undefined
    },
    drop(key: string, turn: number) {
      hashes.drop(name(key, turn))
      heads.delete(name(key, turn))
    },
  }
}

function growing(bytes: Buffer): Head {
  const head = {
    bytes,
    add(chunk: Buffer) {
      const room = HEAD_BYTES - head.bytes.length
      if (room > 0) head.bytes = Buffer.concat([head.bytes, chunk.subarray(0, room)])
    },
  }
  return head
}
