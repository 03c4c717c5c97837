import { leaseEnd } from '../database/clock.ts'
import type { Db } from '../database/database.ts'

/** Kinds that come again, `ms` after each end. */
export type Schedule = { kind: string; ms: number }[]

/** A clock that is further than this from where it should be has leapt. */
const LEAP_MS = 600_000
/** So long no job is put off. */
const LONGEST_MS = 2 * 86_400_000

/** Makes sure of the rows of periodic work, whose id is their kind; a row that is there keeps its time. */
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
 * What is to be called before due jobs are looked for: the first time, and when the clock has leapt since the last time, it plans
 * anew. How far a clock has come is judged by one that nobody sets.
 */
export function clockSkewGuard({ db, now, every }: { db: Db; now: () => number; every: Schedule }) {
  let begunAt = Number.NaN
  return async () => {
    const begins = now() - performance.now()
    if (Math.abs(begins - begunAt) <= LEAP_MS) return
    await replan(db, every, now())
    begunAt = begins
  }
}

/**
 * What comes again and is late by so much waits once more: a clock that is wrong for a moment ends nothing for good. What is due
 * later than it can be was planned before the clock went back, and so was its lease.
 */
async function replan(db: Db, every: Schedule, now: number): Promise<void> {
  if (every.length === 0) return
  const free = { leaseOwner: null, leaseUntil: null }
  for (const { kind, ms } of every) {
    await db
      .updateTable('jobs')
      .set({ ...free, runAt: now + LEAP_MS })
      .where('id', '=', kind)
      .where((eb) => eb.or([eb('runAt', '<', now - LEAP_MS), eb('runAt', '>', now + ms + LEAP_MS)]))
      .execute()
  }
  const farthest = now + LONGEST_MS
  await db
    .updateTable('jobs')
    .set({ ...free, runAt: now })
    .where((eb) =>
      eb.or([
        eb.and([eb('leaseUntil', 'is', null), eb('runAt', '>', farthest)]),
        eb('leaseUntil', '>', leaseEnd(db, now, LONGEST_MS)),
      ]),
    )
    .execute()
}
