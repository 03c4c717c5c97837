import { RateLimiterMemory } from 'rate-limiter-flexible'
import { type Db, isPostgres } from './database.ts'
import { increment, tallyOf } from './rate-counters.ts'

/** What came together under a key since its window began, and when that ends (milliseconds since 1970). */
export type Count = { points: number; endsAt: number }

/** Counts what there must not be too much of: each key in a window of its own, which begins with its first points. */
export type Counter = {
  /** Adds, and says what it comes to; negative points give back. A window that is open goes on to its end, whatever `windowMs`. */
  add: (key: string, points: number, windowMs: number) => Promise<Count>
  /** Null where no window is open. */
  get: (key: string) => Promise<Count | null>
}

/** On PostgreSQL all processes count together; with SQLite there is one, which remembers until it ends. */
export const createRateLimiter = (db: Db, now: () => number): Counter =>
  isPostgres(db) ? countedByAll(db, now) : countedHere(now)

function countedHere(now: () => number): Counter {
  const limiter = new RateLimiterMemory({ points: 0, duration: 0 })
  return {
    async add(key, points, windowMs) {
      const customDuration = windowMs / 1000
      const taken = await limiter.penalty(key, points, { customDuration })
      return { points: taken.consumedPoints, endsAt: now() + taken.msBeforeNext }
    },
    async get(key) {
      const taken = await limiter.get(key)
      if (!taken || taken.msBeforeNext <= 0) return null
      return { points: taken.consumedPoints, endsAt: now() + taken.msBeforeNext }
    },
  }
}

const countedByAll = (db: Db, now: () => number): Counter => ({
  add: (key, points, windowMs) => increment(db, { key, points, now: now(), windowMs }),
  get: (key) => tallyOf(db, key, now()),
})

type Taking = { key: string; points: number; windowMs: number; limit: number }

/** Adds where that stays within `limit`; what is refused is not taken. */
export async function consume(
  counter: Counter,
  { key, points, windowMs, limit }: Taking,
): Promise<Count & { refused: boolean }> {
  const taken = await counter.add(key, points, windowMs)
  if (taken.points <= limit) return { ...taken, refused: false }
  return { ...(await counter.add(key, -points, windowMs)), refused: true }
}
