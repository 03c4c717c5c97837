import type { EventEmitter } from 'node:events'
import { RateLimited } from '../../errors/availability.ts'

/** Maximum number of concurrent request bodies of a user on one route of this process. */
export const MAX_BODIES_PER_USER = 1_000

/** Limits the concurrent requests or connections of each key. `message` is the text of the error. */
export function createConcurrencyLimit(max: number, message?: string) {
  const open = new Map<string, number>()

  function add(key: string, delta: number) {
    const now = (open.get(key) ?? 0) + delta
    if (now > 0) open.set(key, now)
    else open.delete(key)
  }

  return {
    /** Counts a response or connection until it emits `close`. Throws RateLimited at the limit. */
    admit(key: string, closing: EventEmitter) {
      if ((open.get(key) ?? 0) >= max) throw new RateLimited(1, message)
      add(key, 1)
      closing.once('close', () => add(key, -1))
    },
  }
}
