import type { EventEmitter } from 'node:events'
import { RateLimited } from '../../errors.ts'

/** So many bodies may a user send to one door of this process at once: they hold a socket each, for as long as they like. */
export const MOST_SENDERS = 1_000

/** Counts what each caller has under way at once; a door has one. */
export function atOnce(most: number, what?: string) {
  const open = new Map<string, number>()

  function count(who: string, by: number) {
    const now = (open.get(who) ?? 0) + by
    if (now > 0) open.set(who, now)
    else open.delete(who)
  }

  return {
    /** Counts this answer or connection until it closes; throws RateLimited where there are as many as there may be. */
    admit(who: string, closing: EventEmitter) {
      if ((open.get(who) ?? 0) >= most) throw new RateLimited(1, what)
      count(who, 1)
      closing.once('close', () => count(who, -1))
    },
  }
}
