import { sql } from 'kysely'
import { latestNow, leaseEnd, leaseNow } from '../database/clock.ts'
import { type Db, supportsSkipLocked } from '../database/database.ts'
import { newId } from '../database/ids.ts'
import type { Row } from '../database/tables.ts'
import type { Tx } from '../database/transaction.ts'

/**
 * A job. While a process runs it, `runAt` equals the end of its lease by the clock of database/clock.ts. If
 * it is enqueued again in the meantime, `runAt` is the requested time, and the job is not deleted when it
 * finishes.
 */
export type Job = Row<'jobs'>

/**
 * Enqueues a job in `tx` and returns its id. A job with the id of an existing one is merged with it: it runs
 * once, at the earlier time and with the first payload; if the existing one is running, it runs once more.
 * `payload` is stored as JSON; `runAt` is in milliseconds since 1970, by default at once.
 */
export async function enqueue(
  tx: Tx,
  { kind, payload = {}, runAt = 0, id = newId('job') }: NewJob,
): Promise<string> {
  await tx
    .insertInto('jobs')
    .values({ id, kind, payload: JSON.stringify(payload), runAt, attempts: 0 })
    .onConflict((row) =>
      row.column('id').doUpdateSet((eb) => ({
        runAt: eb
          .case()
          .when(
            eb.or([
              // It is running, and nothing has asked for another run yet.
              eb('jobs.leaseUntil', '=', eb.ref('jobs.runAt')),
              eb('excluded.runAt', '<', eb.ref('jobs.runAt')),
            ]),
          )
          .then(eb.ref('excluded.runAt'))
          .else(eb.ref('jobs.runAt'))
          .end(),
      })),
    )
    .execute()
  return id
}

/** Makes a job due at once. If it is running, it runs once more. Does nothing if the job does not exist. */
export async function hasten(db: Db, id: string): Promise<void> {
  await db.updateTable('jobs').set({ runAt: 0 }).where('id', '=', id).execute()
}

/** Deletes a job in `tx`, even while it runs. */
export async function dequeue(tx: Tx, id: string): Promise<void> {
  await tx.deleteFrom('jobs').where('id', '=', id).execute()
}
type NewJob = { kind: string; payload?: unknown; runAt?: number; id?: string }

/**
 * Claims the job that has been due the longest, or returns null. It is one statement: concurrent claims get
 * different jobs.
 */
export async function claim(
  db: Db,
  { owner, now, leaseMs, kinds }: { owner: string; now: number; leaseMs: number; kinds: string[] },
): Promise<Job | null> {
  if (kinds.length === 0) return null
  const due = db
    .selectFrom('jobs')
    .select('id')
    .where('runAt', '<=', latestNow(db, now))
    .where((eb) =>
      eb.or([
        eb.and([eb('leaseUntil', 'is', null), eb('runAt', '<=', now)]),
        eb('leaseUntil', '<=', leaseNow(db, now)),
      ]),
    )
    .where('kind', 'in', kinds)
    .orderBy('runAt')
    .limit(1)
    .$if(supportsSkipLocked(db), (q) => q.forUpdate().skipLocked())
  const until = leaseEnd(db, now, leaseMs)
  const job = await db
    .updateTable('jobs')
    .set({ leaseOwner: owner, leaseUntil: until, runAt: until, attempts: sql`"attempts" + 1` })
    .where('id', '=', due)
    .returningAll()
    .executeTakeFirst()
  return job ?? null
}

/** Extends the lease of a job to `leaseMs` from now; returns false if another process has claimed the job. */
export async function renew(
  db: Db,
  job: Job,
  { now, leaseMs }: { now: number; leaseMs: number },
): Promise<boolean> {
  const leaseUntil = leaseEnd(db, now, leaseMs)
  const runAt = sql<number>`CASE WHEN "runAt" = "leaseUntil" THEN ${leaseUntil} ELSE "runAt" END`
  return hasUpdated(updateHeld(db, job).set({ leaseUntil, runAt }).executeTakeFirst())
}

/** Deletes a finished job, or releases it if it was enqueued again since it was claimed. */
export async function finish(db: Db, job: Job): Promise<void> {
  const { numDeletedRows } = await db
    .deleteFrom('jobs')
    .where('id', '=', job.id)
    .where('leaseOwner', '=', job.leaseOwner)
    .where('attempts', '=', job.attempts)
    .whereRef('runAt', '=', 'leaseUntil')
    .executeTakeFirst()
  if (numDeletedRows === 0n) await updateHeld(db, job).set(free).execute()
}

/** Releases a finished job to run again at `runAt`. */
export async function reschedule(db: Db, job: Job, runAt: number): Promise<void> {
  await updateHeld(db, job)
    .set({ ...free, runAt })
    .execute()
}

/** Releases a job that failed or was interrupted, to be retried at `runAt`, and records the error. */
export async function postpone(db: Db, job: Job, error: unknown, runAt: number): Promise<void> {
  const lastError = error instanceof Error ? `${error.name}: ${error.message}` : String(error)
  await updateHeld(db, job).set({ leaseOwner: null, leaseUntil: null, runAt, lastError }).execute()
}

/**
 * Returns the delay after failure number `attempts`: one second, doubled each time up to an hour, minus up to
 * 50 % jitter.
 */
export function backoffMs(attempts: number, jitter = Math.random()): number {
  const maxMs = Math.min(1000 * 2 ** (attempts - 1), 3_600_000)
  return Math.round(maxMs * (1 - jitter / 2))
}

const free = { leaseOwner: null, leaseUntil: null, attempts: 0, lastError: null }

/**
 * Updates the job only if this claim still holds it: each claim increases `attempts`, which fences off older
 * claims.
 */
const updateHeld = (db: Db, job: Job) =>
  db
    .updateTable('jobs')
    .where('id', '=', job.id)
    .where('leaseOwner', '=', job.leaseOwner)
    .where('attempts', '=', job.attempts)

const hasUpdated = async (result: Promise<{ numUpdatedRows: bigint }>) =>
  (await result).numUpdatedRows > 0n
