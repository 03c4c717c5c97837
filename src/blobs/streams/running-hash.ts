import { createHash, type Hash } from 'node:crypto'

/**
 * Hash states of keys whose bytes are still arriving. node:crypto cannot serialize them, so they exist only
 * in this process.
 */
export type RunningHashes = {
  /**
   * Returns a copy of the hash state of the first `offset` bytes of `key`, or undefined if it is not cached.
   */
  at(key: string, offset: number): Hash | undefined
  set(key: string, offset: number, hash: Hash): void
  delete(key: string): void
}

/**
 * Caches one state per key, for the `limit` most recently updated keys. A lost state costs reading the bytes
 * again.
 */
export function createRunningHashes(limit = 10_000): RunningHashes {
  const states = new Map<string, { offset: number; hash: Hash }>()
  return {
    at(key, offset) {
      if (offset === 0) return createHash('sha256')
      const state = states.get(key)
      return state?.offset === offset ? state.hash.copy() : undefined
    },
    set(key, offset, hash) {
      states.delete(key)
      states.set(key, { offset, hash: hash.copy() })
      for (const [oldest] of states) {
        if (states.size <= limit) break
        states.delete(oldest)
      }
    },
    delete(key) {
      states.delete(key)
    },
  }
}
