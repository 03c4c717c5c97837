import { sql } from 'kysely'
import { type Db, isPostgres } from './database.ts'
import type { Tx } from './transaction.ts'

/** The offset to the database's clock is measured this often. */
const MEASURE_MS = 10_000
/** A measurement that takes longer says too little: the process or the network stood still meanwhile. */
const MAX_MEASURE_MS = 1_000

/** The moment `ms` milliseconds from now by PostgreSQL's clock, which all processes share. */
export const databaseNowPlus = (ms: number) =>
  sql<number>`(extract(epoch from clock_timestamp()) * 1000)::bigint + ${ms}`

/**
 * The end of a lease of `ms` milliseconds by the clock that leases go by: the database's on PostgreSQL, where the clocks of the
 * processes may differ; `now` on SQLite, which has one process. The same value wherever it occurs in one statement.
 */
export const leaseEnd = (db: Db | Tx, now: number, ms: number) =>
  isPostgres(db)
    ? sql<number>`(extract(epoch from statement_timestamp()) * 1000)::bigint + ${ms}`
    : sql<number>`${now} + ${ms}`

/** The present moment by the clock that leases go by. */
export const leaseNow = (db: Db | Tx, now: number) => leaseEnd(db, now, 0)

/** The later of `now` and the present moment by the clock that leases go by: nothing after it is due by either. */
export const latestNow = (db: Db | Tx, now: number) =>
  isPostgres(db) ? sql<number>`greatest(${now}::bigint, ${leaseNow(db, now)})` : sql<number>`${now}`

/**
 * Opens a clock that shows PostgreSQL's time in milliseconds since 1970, so that processes agree about what is due. Between two
 * measurements it advances with the monotonic clock, which nobody sets.
 */
export async function openDatabaseClock(db: Db): Promise<{ now: () => number } & Disposable> {
  let { offset } = await measureOffset(db)
  const remeasure = async () => {
    const measured = await measureOffset(db)
    if (measured.tookMs < MAX_MEASURE_MS) offset = measured.offset
  }
  // Without an answer the last offset stays.
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
