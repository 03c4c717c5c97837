import { randomUUID } from 'node:crypto'
import { withDeadline } from '../concurrency/deadline.ts'
import { keepLease } from '../concurrency/lease.ts'
import type { Db } from '../database/database.ts'
import { clockSkewGuard, ensurePeriodicJobs, type Schedule } from './periodic.ts'
import { backoffMs, claim, finish, type Job, postpone, renew, reschedule } from './queue.ts'

/**
 * Runs one job. It must be idempotent: a job that dies with its process is run again. A handler that returns
 * has succeeded, unless `signal` has aborted because the server shuts down or the lease was lost. In that
 * case it should stop soon, and the job is run again.
 */
export type Handler = (payload: unknown, signal: AbortSignal) => Promise<unknown>

type Log = (about: object, message: string) => void
type Logger = { info: Log; warn: Log; error: Log }

/** The default duration of a lease. A lease is renewed three times within its duration. */
const LEASE_MS = 15_000

export type RunnerOptions = {
  db: Db
  now: () => number
  log: Logger
  /** Handlers by kind. Jobs of other kinds are left alone. */
  handlers: Record<string, Handler>
  every: Schedule
  /** Pause between two polls in milliseconds (default 1000). */
  pollMs?: number
  /** Duration of a lease in milliseconds: after this time another process claims a job of a dead process. */
  leaseMs?: number
}

export type Runner = {
  /** Aborts the running job and waits for it, at most two seconds. */
  stop: () => Promise<void>
  /** Runs all due jobs one after the other and returns their number. */
  runDue: () => Promise<number>
}

/**
 * Polls for due jobs every `pollMs` and runs them one at a time. Several processes may share one database.
 */
export function startRunner(options: RunnerOptions): Runner {
  const { db, now, log, every, pollMs = 1000 } = options
  const closing = new AbortController()
  const ensured = logErrors(log, 'periodic jobs could not be set up', () =>
    ensurePeriodicJobs(
      db,
      every.map(({ kind }) => kind),
      now(),
    ),
  )
  const round = {
    ...options,
    owner: randomUUID(),
    closing: closing.signal,
    guardClock: clockSkewGuard(options),
  }
  let last: Promise<number> = ensured.then(() => 0)
  const runDue = () => {
    last = last.then(() => runAll(round))
    return last
  }
  let timer = setTimeout(poll, pollMs).unref()
  function poll() {
    const again = () => {
      if (!closing.signal.aborted) timer = setTimeout(poll, pollMs).unref()
    }
    runDue().then(again, again)
  }
  return {
    runDue,
    async stop() {
      closing.abort(new Error('the server is shutting down'))
      clearTimeout(timer)
      await withDeadline(last, 2000, undefined)
    },
  }
}

type Round = RunnerOptions & {
  owner: string
  closing: AbortSignal
  guardClock: () => Promise<void>
}

async function runAll(round: Round): Promise<number> {
  let count = 0
  while (!round.closing.aborted) {
    const job = await claimNext(round)
    if (!job) break
    await logErrors(round.log, 'a job could not be finished or postponed', () => run(round, job))
    count += 1
  }
  return count
}

/** Checks the clock first: a job that only seems late because the clock has jumped is not due. */
const claimNext = ({ db, owner, now, leaseMs = LEASE_MS, handlers, log, guardClock }: Round) =>
  logErrors(log, 'due jobs could not be claimed', async () => {
    await guardClock()
    return claim(db, { owner, now: now(), leaseMs, kinds: Object.keys(handlers) })
  })

async function run(round: Round, job: Job): Promise<void> {
  const { db, now, log, every, handlers } = round
  const period = every.find(({ kind }) => kind === job.id)
  using lease = startRenewal(round, job)
  try {
    await handlers[job.kind]?.(JSON.parse(job.payload), lease.signal)
  } catch (error) {
    if (lease.signal.aborted) return await postpone(db, job, lease.signal.reason, now())
    log.error({ err: error, job: job.id, kind: job.kind, attempts: job.attempts }, 'a job failed')
    const waitMs = Math.min(backoffMs(job.attempts), period?.ms ?? Number.POSITIVE_INFINITY)
    return await postpone(db, job, error, now() + waitMs)
  }
  if (lease.signal.aborted) return await postpone(db, job, lease.signal.reason, now())
  await (period ? reschedule(db, job, now() + period.ms) : finish(db, job))
}

/** Renews the lease while the job runs; the signal aborts when the lease is lost or the server shuts down. */
function startRenewal({ db, now, log, closing, leaseMs = LEASE_MS }: Round, job: Job) {
  const ended = new AbortController()
  const close = () => ended.abort(closing.reason)
  if (closing.aborted) close()
  closing.addEventListener('abort', close, { once: true })
  const beat = async () => {
    const held = await logErrors(log, 'the lease of a job could not be renewed', () =>
      renew(db, job, { now: now(), leaseMs }),
    )
    if (held === false) ended.abort(new Error('another process has claimed this job'))
  }
  const lease = keepLease(leaseMs / 3, beat)
  return {
    signal: ended.signal,
    [Symbol.dispose]() {
      lease[Symbol.dispose]()
      closing.removeEventListener('abort', close)
    },
  }
}

/** Runs `fn`; logs an error and returns null. */
async function logErrors<T>(log: Logger, message: string, fn: () => Promise<T>): Promise<T | null> {
  try {
    return await fn()
  } catch (error) {
    log.error({ err: error }, message)
    return null
  }
}
