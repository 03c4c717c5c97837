import { sql } from 'kysely'
import { latestNow, leaseEnd, leaseNow } from '../database/clock.ts'
import { type Db, isPostgres } from '../database/database.ts'
import { newId } from '../database/ids.ts'
import type { Row } from '../database/tables.ts'
import type { Tx } from '../database/transaction.ts'

/**
 * A row of work. While a process holds it, runAt is the end of the lease, by the clock of database/clock.ts. Enqueued once more in the
 * meantime, runAt says when, and the job outlives its own end.
 */
export type Job = Row<'jobs'>

/**
 * Puts work in the queue, together with the rows of `tx`. The same `id` is the same job: asked for twice it runs once,
 * at the earlier moment; asked for while it runs, it runs once more. `payload` is JSON; `runAt` is in
 * milliseconds, and means at once where it is absent.
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
              eb('jobs.leaseOwner', 'is not', null),
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
/** Takes a job out of the queue, together with the rows of `tx`, also while it runs. */
export async function dequeue(tx: Tx, id: string): Promise<void> {
  await tx.deleteFrom('jobs').where('id', '=', id).execute()
}
type NewJob = { kind: string; payload?: unknown; runAt?: number; id?: string }

/**
 * Takes the job that has been due the longest, or null. One statement: of two claims at the same moment one gets the row, and
 * the other the next one (SQLite: one after the other).
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
    .$if(isPostgres(db), (q) => q.forUpdate().skipLocked())
  const until = leaseEnd(db, now, leaseMs)
  const job = await db
    .updateTable('jobs')
    .set({ leaseOwner: owner, leaseUntil: until, runAt: until, attempts: sql`"attempts" + 1` })
    .where('id', '=', due)
    .returningAll()
    .executeTakeFirst()
  return job ?? null
}

/** Holds on to a job for `leaseMs` from now; false where it has been taken over. */
export async function renew(
  db: Db,
  job: Job,
  { now, leaseMs }: { now: number; leaseMs: number },
): Promise<boolean> {
  const leaseUntil = leaseEnd(db, now, leaseMs)
  const runAt = sql<number>`CASE WHEN "runAt" = "leaseUntil" THEN ${leaseUntil} ELSE "runAt" END`
  return changed(held(db, job).set({ leaseUntil, runAt }).executeTakeFirst())
}

/** The job is done and goes; unless it was asked for again since it was claimed. */
export async function finish(db: Db, job: Job): Promise<void> {
  const { numDeletedRows } = await db
    .deleteFrom('jobs')
    .where('id', '=', job.id)
    .where('leaseOwner', '=', job.leaseOwner)
    .where('attempts', '=', job.attempts)
    .whereRef('runAt', '=', 'leaseUntil')
    .executeTakeFirst()
  if (numDeletedRows === 0n) await held(db, job).set(free).execute()
}

/** The job is done for now and comes again at `runAt`. */
export async function reschedule(db: Db, job: Job, runAt: number): Promise<void> {
  await held(db, job)
    .set({ ...free, runAt })
    .execute()
}

/** The job failed, or was cut short; it is tried again at `runAt`. */
export async function postpone(db: Db, job: Job, error: unknown, runAt: number): Promise<void> {
  const lastError = error instanceof Error ? `${error.name}: ${error.message}` : String(error)
  await held(db, job).set({ leaseOwner: null, leaseUntil: null, runAt, lastError }).execute()
}

/** How long to wait after failure number `attempts`: a second, doubled each time up to an hour, and up to half of it left to chance. */
export function backoffMs(attempts: number, chance = Math.random()): number {
  const longest = Math.min(1000 * 2 ** (attempts - 1), 3_600_000)
  return Math.round(longest * (1 - chance / 2))
}

const free = { leaseOwner: null, leaseUntil: null, attempts: 0, lastError: null }

/** Only by whoever still holds it: each claim raises `attempts`, so a holder of yesterday changes nothing. */
const held = (db: Db, job: Job) =>
  db
    .updateTable('jobs')
    .where('id', '=', job.id)
    .where('leaseOwner', '=', job.leaseOwner)
    .where('attempts', '=', job.attempts)

const changed = async (result: Promise<{ numUpdatedRows: bigint }>) =>
  (await result).numUpdatedRows > 0n
