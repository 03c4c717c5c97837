import { createHash, type Hash } from 'node:crypto'

/** The states of hashes whose bytes are still arriving. node:crypto cannot save them, so they live as long as the process. */
export type RunningHashes = {
  /** A hash of the first `offset` bytes of `key` to go on with, or undefined where that state is not at hand. */
  at(key: string, offset: number): Hash | undefined
  keep(key: string, offset: number, hash: Hash): void
  drop(key: string): void
}

/** Keeps one state for each key, and the `limit` youngest of them. A state lost costs reading the bytes once more. */
export function runningHashes(limit = 10_000): RunningHashes {
  const states = new Map<string, { offset: number; hash: Hash }>()
  return {
    at(key, offset) {
      if (offset === 0) return createHash('sha256')
      const state = states.get(key)
      return state?.offset === offset ? state.hash.copy() : undefined
    },
    keep(key, offset, hash) {
      states.delete(key)
      states.set(key, { offset, hash: hash.copy() })
      for (const [eldest] of states) {
        if (states.size <= limit) break
        states.delete(eldest)
      }
    },
    drop(key) {
      states.delete(key)
    },
  }
}
