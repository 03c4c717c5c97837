import { leaseEnd } from '../database/clock.ts'
import type { Db } from '../database/database.ts'

/** Kinds of periodic jobs; each runs again `ms` milliseconds after it ended. */
export type Schedule = { kind: string; ms: number }[]

/** A larger deviation from the monotonic clock counts as a clock jump. */
const CLOCK_JUMP_MS = 600_000
/** No job is ever scheduled further ahead than this: the longest period is a day. */
const MAX_DELAY_MS = 2 * 86_400_000

/**
 * Creates the rows of periodic jobs, whose id is their kind, to run at `runAt`. Existing rows keep their
 * time.
 */
export async function ensurePeriodicJobs(db: Db, kinds: string[], runAt: number): Promise<void> {
  if (kinds.length === 0) return
  const rows = kinds.map((kind) => ({ id: kind, kind, payload: '{}', runAt, attempts: 0 }))
  await db
    .insertInto('jobs')
    .values(rows)
    .onConflict((row) => row.doNothing())
    .execute()
}

/**
 * Returns a function to call before due jobs are claimed. On its first call, and when the clock has jumped
 * since the last one (compared with the monotonic clock), it reschedules jobs.
 */
export function clockSkewGuard({ db, now, every }: { db: Db; now: () => number; every: Schedule }) {
  let lastOriginAt = Number.NaN
  return async () => {
    const originAt = now() - performance.now()
    if (Math.abs(originAt - lastOriginAt) <= CLOCK_JUMP_MS) return
    await reschedule(db, every, now())
    lastOriginAt = originAt
  }
}

/**
 * Delays overdue periodic jobs once by CLOCK_JUMP_MS, so that a clock that is briefly wrong makes no data
 * expire for good. Jobs and leases that are too far in the future were written before the clock was set back;
 * they become due.
 */
async function reschedule(db: Db, every: Schedule, now: number): Promise<void> {
  if (every.length === 0) return
  const free = { leaseOwner: null, leaseUntil: null }
  for (const { kind, ms } of every) {
    await db
      .updateTable('jobs')
      .set({ ...free, runAt: now + CLOCK_JUMP_MS })
      .where('id', '=', kind)
      .where((eb) =>
        eb.or([eb('runAt', '<', now - CLOCK_JUMP_MS), eb('runAt', '>', now + ms + CLOCK_JUMP_MS)]),
      )
      .execute()
  }
  const latestAt = now + MAX_DELAY_MS
  await db
    .updateTable('jobs')
    .set({ ...free, runAt: now })
    .where((eb) =>
      eb.or([
        eb.and([eb('leaseUntil', 'is', null), eb('runAt', '>', latestAt)]),
        eb('leaseUntil', '>', leaseEnd(db, now, MAX_DELAY_MS)),
      ]),
    )
    .execute()
}
