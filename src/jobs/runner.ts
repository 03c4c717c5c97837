import { randomUUID } from 'node:crypto'
import { setTimeout as sleep } from 'node:timers/promises'
import type { Db } from '../database/database.ts'
import { clockSkewGuard, ensurePeriodicJobs, type Schedule } from './periodic.ts'
import { backoffMs, claim, finish, type Job, postpone, renew, reschedule } from './queue.ts'

/**
 * Does one job of a kind; what it does can be repeated, for a job that dies with its process is begun again. To return is to
 * be done, unless `signal` has fired: then the house closes or another has taken the job; stop soon, it is begun again.
 */
type Handler = (payload: unknown, signal: AbortSignal) => Promise<unknown>

type Log = (about: object, message: string) => void
type Logger = { info: Log; warn: Log; error: Log }

/** It is renewed three times as often. */
const LEASE_MS = 15_000

export type RunnerOptions = {
  db: Db
  now: () => number
  log: Logger
  /** By kind. Jobs of other kinds stay where they are. */
  handlers: Record<string, Handler>
  every: Schedule
  pollMs?: number
  /** How long a job of a dead process waits until another takes it. */
  leaseMs?: number
}

export type Runner = {
  /** Tells the running job to stop and waits for it, at most two seconds. */
  stop: () => Promise<void>
  /** Runs whatever is due, one after the other, and says how many that were. */
  runDue: () => Promise<number>
}

/** Looks for due jobs every `pollMs` and runs them one at a time. Any number of processes may do so over one database. */
export function startRunner(options: RunnerOptions): Runner {
  const { db, now, log, every, pollMs = 1000 } = options
  const closing = new AbortController()
  const planted = quietly(log, 'periodic jobs could not be set up', () =>
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
    plan: clockSkewGuard(options),
  }
  let last: Promise<number> = planted.then(() => 0)
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
      closing.abort(new Error('the house is closing'))
      clearTimeout(timer)
      await Promise.race([last, sleep(2000, undefined, { ref: false })])
    },
  }
}

type Round = RunnerOptions & { owner: string; closing: AbortSignal; plan: () => Promise<void> }

async function runAll(round: Round): Promise<number> {
  let count = 0
  while (!round.closing.aborted) {
    const job = await take(round)
    if (!job) break
    await quietly(round.log, 'a job could not be put back', () => run(round, job))
    count += 1
  }
  return count
}

/** Never without a plan: what is late because the clock has leapt is not yet due. */
const take = ({ db, owner, now, leaseMs = LEASE_MS, handlers, log, plan }: Round) =>
  quietly(log, 'jobs could not be asked for', async () => {
    await plan()
    return claim(db, { owner, now: now(), leaseMs, kinds: Object.keys(handlers) })
  })

async function run(round: Round, job: Job): Promise<void> {
  const { db, now, log, every, handlers } = round
  const period = every.find(({ kind }) => kind === job.id)
  using lease = keepLease(round, job)
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

/** Holds the lease while the job runs; the signal fires when it is lost, or when the house closes. */
function keepLease({ db, now, log, closing, leaseMs = LEASE_MS }: Round, job: Job) {
  const ended = new AbortController()
  const close = () => ended.abort(closing.reason)
  if (closing.aborted) close()
  closing.addEventListener('abort', close, { once: true })
  const beat = async () => {
    const held = await quietly(log, 'a lease could not be renewed', () =>
      renew(db, job, { now: now(), leaseMs }),
    )
    if (held === false) ended.abort(new Error('another process has taken this job'))
  }
  const timer = setInterval(beat, leaseMs / 3).unref()
  return {
    signal: ended.signal,
    [Symbol.dispose]() {
      clearInterval(timer)
      closing.removeEventListener('abort', close)
    },
  }
}

/** Runs `act`; what it throws is logged and comes back as null. */
async function quietly<T>(log: Logger, message: string, act: () => Promise<T>): Promise<T | null> {
  try {
    return await act()
  } catch (error) {
    log.error({ err: error }, message)
    return null
  }
}
