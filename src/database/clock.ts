import { sql } from 'kysely'
import { type Db, isPostgres } from './database.ts'
import type { Tx } from './transaction.ts'

/** Interval between two measurements of the offset to the database's clock. */
const MEASURE_MS = 10_000
/** A slower measurement is discarded: the process or the network stalled, so it is not precise. */
const MAX_MEASURE_MS = 1_000

/**
 * Returns the SQL expression for `ms` milliseconds from now by PostgreSQL's clock, which all processes share.
 */
export const databaseNowPlus = (ms: number) =>
  sql<number>`(extract(epoch from clock_timestamp()) * 1000)::bigint + ${ms}`

/**
 * Returns the SQL expression for the end of a lease of `ms` milliseconds. PostgreSQL uses the database's
 * clock, because the clocks of the processes may differ; SQLite has one process and uses `now`. The value is
 * constant within one statement.
 */
export const leaseEnd = (db: Db | Tx, now: number, ms: number) =>
  isPostgres(db)
    ? sql<number>`(extract(epoch from statement_timestamp()) * 1000)::bigint + ${ms}`
    : sql<number>`${now} + ${ms}`

/** Returns the SQL expression for the current time of the lease clock (see `leaseEnd`). */
export const leaseNow = (db: Db | Tx, now: number) => leaseEnd(db, now, 0)

/**
 * Returns the SQL expression for the later of `now` and the lease clock. What is due after that is due by
 * neither clock.
 */
export const latestNow = (db: Db | Tx, now: number) =>
  isPostgres(db) ? sql<number>`greatest(${now}::bigint, ${leaseNow(db, now)})` : sql<number>`${now}`

/**
 * Opens a clock that shows PostgreSQL's time in milliseconds since 1970, so that all processes agree on what
 * is due. Between two measurements it advances with the monotonic clock, which is never set.
 */
export async function openDatabaseClock(db: Db): Promise<{ now: () => number } & Disposable> {
  let { offset } = await measureOffset(db)
  const remeasure = async () => {
    const measured = await measureOffset(db)
    if (measured.tookMs < MAX_MEASURE_MS) offset = measured.offset
  }
  // If the measurement fails, the last offset stays in use.
  const timer = setInterval(() => void remeasure().catch(() => {}), MEASURE_MS).unref()
  return {
    now: () => Math.round(performance.now() + offset),
    [Symbol.dispose]: () => clearInterval(timer),
  }
}

async function measureOffset(db: Db): Promise<{ offset: number; tookMs: number }> {
  const beganAt = performance.now()
  const { rows } = await sql<{ at: number }>`select ${databaseNowPlus(0)} as at`.execute(db)
  const endedAt = performance.now()
  return {
    offset: (rows[0]?.at ?? Date.now()) - (beganAt + endedAt) / 2,
    tookMs: endedAt - beganAt,
  }
}
