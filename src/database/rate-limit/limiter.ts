import { RateLimiterMemory } from 'rate-limiter-flexible'
import { type Db, isPostgres } from '../database.ts'
import { findCounter, increment } from './counters.ts'

/** Points counted under a key in its current window, and the end of the window (milliseconds since 1970). */
export type Count = { points: number; endsAt: number }

/** Counts points per key, in a fixed window that begins with the first points of the key. */
export type Counter = {
  /**
   * Adds points and returns the total; negative points refund. `windowMs` applies to a new window only: an
   * open one keeps its end.
   */
  add: (key: string, points: number, windowMs: number) => Promise<Count>
  /** Returns the current count, or null if no window is open. */
  get: (key: string) => Promise<Count | null>
}

/** Creates a rate limiter: in the database on PostgreSQL, where processes share it; in memory with SQLite. */
export const createRateLimiter = (db: Db, now: () => number): Counter =>
  isPostgres(db) ? createDatabaseLimiter(db, now) : createMemoryLimiter(now)

function createMemoryLimiter(now: () => number): Counter {
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

const createDatabaseLimiter = (db: Db, now: () => number): Counter => ({
  add: (key, points, windowMs) => increment(db, { key, points, now: now(), windowMs }),
  get: (key) => findCounter(db, key, now()),
})

type Consumption = { key: string; points: number; windowMs: number; limit: number }

/** Adds points if the total stays within `limit`; otherwise adds nothing and returns `refused: true`. */
export async function consume(
  counter: Counter,
  { key, points, windowMs, limit }: Consumption,
): Promise<Count & { refused: boolean }> {
  const taken = await counter.add(key, points, windowMs)
  if (taken.points <= limit) return { ...taken, refused: false }
  return { ...(await counter.add(key, -points, windowMs)), refused: true }
}
