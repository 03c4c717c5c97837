import { setTimeout as sleep } from 'node:timers/promises'
import fc from 'fast-check'
import { sql } from 'kysely'
import { expect, onTestFinished, test, vi } from 'vitest'
import type { Db } from '../../src/database/database.ts'
import { transact } from '../../src/database/transaction.ts'
import { jobKind } from '../../src/jobs/job-kind.ts'
import { backoffMs, claim, enqueue, finish, postpone, renew } from '../../src/jobs/queue.ts'
import { type RunnerOptions, startRunner } from '../../src/jobs/runner.ts'
import { database, openRows } from '../support/databases.ts'
import { timingRetries } from '../support/timed.ts'

const minute = 60_000

/** Opens a database twice, as two processes would, with a clock that stands still until it is set. */
async function openTwo() {
  const rows = await openRows(2)
  onTestFinished(() => rows[Symbol.asyncDispose]())
  const [db, other] = rows.dbs as [Db, Db]
  const clock = { at: 1_000_000 }
  const logged: string[] = []
  const note = (_: object, message: string) => void logged.push(message)
  const runner = (options: Pick<RunnerOptions, 'handlers'> & Partial<RunnerOptions>) => {
    const quiet = { info: note, warn: note, error: note }
    const base = { db, now: () => clock.at, log: quiet, every: [], pollMs: 3_600_000 }
    const started = startRunner({ ...base, ...options })
    onTestFinished(() => started.stop())
    return started
  }
  const add = (job: Parameters<typeof enqueue>[1]) => transact(db, (tx) => enqueue(tx, job))
  const jobs = () => db.selectFrom('jobs').selectAll().orderBy('id').execute()
  return { db, other, clock, logged, runner, add, jobs }
}

const take = (owner: string, now: number) => ({ owner, now, leaseMs: minute, kinds: ['sweep'] })

/**
 * Moves all leases one minute closer to their end. On SQLite they use the clock of the test, on PostgreSQL
 * that of the database.
 */
async function leaseMinutePasses(db: Db) {
  if (database === 'SQLite') return
  const earlier = {
    leaseUntil: sql<number>`"leaseUntil" - ${minute}`,
    runAt: sql<number>`"runAt" - ${minute}`,
  }
  await db.updateTable('jobs').set(earlier).where('leaseUntil', 'is not', null).execute()
}

test('runs a due job once with its payload, and deletes it', async () => {
  const { clock, runner, add, jobs } = await openTwo()
  const seen: unknown[] = []
  const { runDue } = runner({ handlers: { sweep: async (payload) => seen.push(payload) } })
  await add({ kind: 'sweep', payload: { folder: 'é' }, runAt: clock.at + minute })
  expect(await runDue()).toBe(0)
  clock.at += minute
  expect(await runDue()).toBe(1)
  expect(seen).toEqual([{ folder: 'é' }])
  expect(await jobs()).toEqual([])
})

test('does not enqueue the job of a transaction that rolls back', async () => {
  const { db, jobs } = await openTwo()
  const work = transact(db, async (tx) => {
    await enqueue(tx, { kind: 'sweep' })
    throw new Error('changed my mind')
  })
  await expect(work).rejects.toThrow('changed my mind')
  expect(await jobs()).toEqual([])
})

test('runs a job that was enqueued twice with the same id once, at the earlier time', async () => {
  const { clock, runner, add } = await openTwo()
  let runs = 0
  const { runDue } = runner({ handlers: { sweep: async () => runs++ } })
  await add({ kind: 'sweep', id: 'sweep:1', runAt: clock.at + 9 * minute })
  await add({ kind: 'sweep', id: 'sweep:1', runAt: clock.at })
  await add({ kind: 'sweep', id: 'sweep:1', runAt: clock.at + 5 * minute })
  await runDue()
  clock.at += 10 * minute
  await runDue()
  expect(runs).toBe(1)
})

test('runs a job again that was enqueued during its run', async () => {
  const { runner, add, jobs } = await openTwo()
  let runs = 0
  const handlers = {
    sweep: async () => {
      runs += 1
      if (runs === 1) await add({ kind: 'sweep', id: 'sweep:1' })
    },
  }
  await add({ kind: 'sweep', id: 'sweep:1' })
  expect(await runner({ handlers }).runDue()).toBe(2)
  expect(runs).toBe(2)
  expect(await jobs()).toEqual([])
})

test('shares jobs between two processes and runs none twice', async () => {
  const { other, runner, add } = await openTwo()
  const done: string[] = []
  for (let i = 0; i < 40; i += 1) await add({ kind: 'sweep', payload: `${i}` })
  const handlers = {
    sweep: async (payload: unknown) => {
      done.push(String(payload))
      await sleep(1)
    },
  }
  const counts = await Promise.all([
    runner({ handlers }).runDue(),
    runner({ handlers, db: other }).runDue(),
  ])
  expect(Math.min(...counts)).toBeGreaterThan(0)
  expect(done.sort()).toEqual(Array.from({ length: 40 }, (_, i) => `${i}`).sort())
})

test('gives each of many concurrent claims a different job', async () => {
  const { db, other, clock, add } = await openTwo()
  for (let i = 0; i < 16; i += 1) await add({ kind: 'sweep', id: `sweep:${i}` })
  const claims = Array.from({ length: 16 }, (_, i) =>
    claim(i % 2 ? db : other, take(`owner ${i}`, clock.at)),
  )
  const ids = (await Promise.all(claims)).map((job) => job?.id)
  expect(new Set(ids).size).toBe(16)
  expect(ids).not.toContain(undefined)
})

test('takes over a job of a dead process after its lease, not before', async () => {
  const { db, other, clock, add } = await openTwo()
  await add({ kind: 'sweep' })
  const lost = await claim(db, take('dead', clock.at))
  expect(await claim(other, take('heir', clock.at + minute - 1))).toBeNull()
  await leaseMinutePasses(db)
  const found = await claim(other, take('heir', clock.at + minute))
  expect(found).toMatchObject({ id: lost?.id, leaseOwner: 'heir', attempts: 2 })
})

test('rejects renewal and completion by the holder of a lost lease', async () => {
  const { db, clock, add, jobs } = await openTwo()
  await add({ kind: 'sweep' })
  const late = await claim(db, take('one', clock.at))
  await leaseMinutePasses(db)
  const next = await claim(db, take('one', clock.at + minute))
  if (!late || !next) throw new Error('both claims should find the job')
  expect(await renew(db, late, { now: clock.at, leaseMs: 9 * minute })).toBe(false)
  await finish(db, late)
  await postpone(db, late, new Error('late'), 0)
  expect(await jobs()).toEqual([next])
  await finish(db, next)
  expect(await jobs()).toEqual([])
})

test('renews the lease while the job runs', async () => {
  const { other, runner, add } = await openTwo()
  await add({ kind: 'sweep' })
  let runs = 0
  const handlers = { sweep: () => sleep(600, void runs++) }
  const base = { handlers, leaseMs: 200, now: Date.now }
  const slow = runner(base).runDue()
  await sleep(400)
  expect(await runner({ ...base, db: other }).runDue()).toBe(0)
  expect(await slow).toBe(1)
  expect(runs).toBe(1)
})

test('aborts a job that was taken over', async () => {
  const { db, runner, add } = await openTwo()
  await add({ kind: 'sweep' })
  let reason: unknown
  const handlers = {
    async sweep(_: unknown, signal: AbortSignal) {
      await db.updateTable('jobs').set({ leaseOwner: 'another process' }).execute()
      await sleep(5000, undefined, { signal }).catch(() => {
        reason = signal.reason
      })
    },
  }
  await runner({ handlers, leaseMs: 150 }).runDue()
  expect(String(reason)).toContain('another process has claimed this job')
})

test('logs a failing job, retries it with growing delays, and does not block others', async () => {
  const { clock, logged, runner, add, jobs } = await openTwo()
  let done = 0
  const handlers = {
    sweep: () => Promise.reject(new TypeError('no such shelf')),
    dust: async () => done++,
  }
  const { runDue } = runner({ handlers })
  await add({ kind: 'sweep' })
  await add({ kind: 'dust' })
  expect(await runDue()).toBe(2)
  expect(done).toBe(1)
  expect(logged).toEqual(['a job failed'])
  const [failed] = await jobs()
  expect(failed).toMatchObject({ attempts: 1, lastError: 'TypeError: no such shelf' })
  expect(failed?.leaseOwner).toBeNull()
  expect(failed?.runAt).toBeGreaterThan(clock.at)
  clock.at += 1000
  expect(await runDue()).toBe(1)
})

test('doubles the retry delay from a second to an hour, with up to half of it random', () => {
  fc.assert(
    fc.property(
      fc.integer({ min: 1, max: 2000 }),
      fc.double({ min: 0, max: 1, noNaN: true }),
      (attempts, chance) => {
        const longest = Math.min(1000 * 2 ** (attempts - 1), 3_600_000)
        const wait = backoffMs(attempts, chance)
        expect(wait).toBeGreaterThanOrEqual(longest / 2)
        expect(wait).toBeLessThanOrEqual(longest)
      },
    ),
  )
})

test('repeats periodic jobs on schedule, however many processes schedule them', async () => {
  const { other, clock, runner, jobs } = await openTwo()
  let runs = 0
  const base = { handlers: { sweep: async () => runs++ }, every: [{ kind: 'sweep', ms: minute }] }
  const [one, two] = [runner(base), runner({ ...base, db: other })]
  const both = async () => {
    await one.runDue()
    await two.runDue()
  }
  await both()
  expect(runs).toBe(1)
  clock.at += minute - 1
  await both()
  expect(runs).toBe(1)
  clock.at += 1
  await both()
  expect(runs).toBe(2)
  expect(await jobs()).toMatchObject([{ id: 'sweep', runAt: clock.at + minute, attempts: 0 }])
})

test('retries a failing periodic job at least as often as scheduled', async () => {
  const { clock, runner, jobs } = await openTwo()
  const handlers = { sweep: () => Promise.reject(new Error('no')) }
  const { runDue } = runner({ handlers, every: [{ kind: 'sweep', ms: minute }] })
  for (let i = 0; i < 12; i += 1) {
    expect(await runDue()).toBe(1)
    clock.at += minute
  }
  expect(await jobs()).toMatchObject([{ attempts: 12, lastError: 'Error: no' }])
})

test('finds jobs without a notification', async () => {
  const { runner, add } = await openTwo()
  let runs = 0
  runner({ handlers: { sweep: async () => runs++ }, pollMs: 20 })
  await sleep(50)
  await add({ kind: 'sweep' })
  await vi.waitFor(() => expect(runs).toBe(1), { timeout: 3000 })
})

/** How long a job takes that is not aborted. */
const LONG_MS = 30_000

test(
  'aborts the running job on stop, and the next process restarts it at once',
  timingRetries,
  async () => {
    const { other, clock, runner, add, jobs } = await openTwo()
    await add({ kind: 'sweep' })
    await add({ kind: 'sweep' })
    let begun = 0
    const long = (_: unknown, signal: AbortSignal) => sleep(LONG_MS, void begun++, { signal })
    const first = runner({ handlers: { sweep: long } })
    void first.runDue()
    await vi.waitFor(() => expect(begun).toBe(1))
    const stoppedAt = performance.now()
    await first.stop()
    expect(performance.now() - stoppedAt).toBeLessThan(LONG_MS / 3)
    expect(begun).toBe(1)
    expect(await jobs()).toMatchObject([{ leaseOwner: null }, { leaseOwner: null }])
    const next = runner({ handlers: { sweep: async () => begun++ }, db: other })
    expect(clock.at).toBe(1_000_000)
    expect(await next.runDue()).toBe(2)
  },
)

test('does not complete a job that returns because it was aborted', async () => {
  const { runner, add, jobs } = await openTwo()
  await add({ kind: 'sweep' })
  let begun = 0
  const obedient = (_: unknown, signal: AbortSignal) =>
    sleep(30_000, void begun++, { signal }).catch(() => 'stopped')
  const first = runner({ handlers: { sweep: obedient } })
  void first.runDue()
  await vi.waitFor(() => expect(begun).toBe(1))
  await first.stop()
  expect(await jobs()).toMatchObject([
    { leaseOwner: null, lastError: 'Error: the server is shutting down' },
  ])
})

test('does not wait on stop for a job that ignores the abort signal', timingRetries, async () => {
  const { runner, add } = await openTwo()
  await add({ kind: 'sweep' })
  const deaf = runner({ handlers: { sweep: () => sleep(3000) } })
  const running = deaf.runDue()
  await sleep(50)
  const stoppedAt = performance.now()
  await deaf.stop()
  expect(performance.now() - stoppedAt).toBeLessThan(2500)
  await running
})

test('leaves jobs of unknown kinds to other runners', async () => {
  const { runner, add, jobs } = await openTwo()
  await add({ kind: 'unheard of' })
  expect(await runner({ handlers: { sweep: async () => {} } }).runDue()).toBe(0)
  expect(await jobs()).toMatchObject([{ kind: 'unheard of', attempts: 0 }])
})

test('keeps running after a temporary database error', async () => {
  const { db, logged, runner, add } = await openTwo()
  let runs = 0
  const { runDue } = runner({ handlers: { sweep: async () => runs++ } })
  await runDue()
  await sql`ALTER TABLE jobs RENAME TO away`.execute(db)
  expect(await runDue()).toBe(0)
  expect(logged).toEqual(['due jobs could not be claimed'])
  await sql`ALTER TABLE away RENAME TO jobs`.execute(db)
  await add({ kind: 'sweep' })
  expect(await runDue()).toBe(1)
})

test('a payload of another shape fails the job, which stays for a process that knows it', async () => {
  const { db, runner, add, jobs, logged } = await openTwo()
  const seen: unknown[] = []
  const sweep = jobKind('sweep', (z) => z.object({ folder: z.string() }))
  const handlers = { sweep: sweep.handler(async (payload) => seen.push(payload)) }
  const { runDue } = runner({ handlers })
  await add({ kind: 'sweep', id: 'newer', payload: { folder: 'a', since: 1 } })
  await add({ kind: 'sweep', id: 'other', payload: { folder: 1 } })
  await add({ kind: 'sweep', id: 'damaged' })
  await db.updateTable('jobs').set({ payload: '{"fol' }).where('id', '=', 'damaged').execute()
  await add({ kind: 'unknown', id: 'unknown' })
  expect(await runDue()).toBe(3)
  expect(seen).toEqual([{ folder: 'a' }])
  expect(logged).toEqual(['a job failed', 'a job failed'])
  const left = (await jobs()).map(({ id, attempts, lastError }) => ({ id, attempts, lastError }))
  expect(left).toEqual([
    { id: 'damaged', attempts: 1, lastError: expect.stringContaining('SyntaxError') },
    { id: 'other', attempts: 1, lastError: expect.stringContaining('folder') },
    { id: 'unknown', attempts: 0, lastError: null },
  ])
})
