import { setTimeout as sleep } from 'node:timers/promises'
import fc from 'fast-check'
import type { FuzzServer } from './fuzz-server.ts'
import { TooSlow } from './wire.ts'

/**
 * A subject of fuzzing. `check` throws if an invariant does not hold, and returns whether the server
 * accepted the case.
 */
export type Subject<T = any> = {
  name: string
  /** Ids of the attacks and faults that it covers. */
  rows: string
  /** Whether cases are slow; short runs have fewer of them. */
  isSlow?: boolean
  cases: (server: FuzzServer) => fc.Arbitrary<T>
  check: (server: FuzzServer, one: T) => Promise<boolean>
}
type Bounds = {
  seed: number
  cases: number
  /** Milliseconds since 1970. */
  until?: number
  /** Path of a failure that fast-check has reported: runs only this case. */
  path?: string | undefined
}

/** Number of concurrent cases. */
export const CONCURRENCY = 4
/** Attempts to run a slow case alone before it fails. */
const MAX_ATTEMPT_COUNT = 3

/**
 * Runs `cases` cases, CONCURRENCY at a time. Throws the report of the first failure, with its seed and
 * path.
 */
export async function fuzz(subject: Subject, server: FuzzServer, bounds: Bounds) {
  const { seed, cases, until = Number.POSITIVE_INFINITY, path } = bounds
  const figures = { cases: 0, accepted: 0 }
  const runner = createRunner()
  const lanes = path === undefined ? CONCURRENCY : 1
  let failed = false

  async function runLane(number: number) {
    const property = fc.asyncProperty(subject.cases(server), async (one) => {
      if (Date.now() > until || (failed && !isShrinking)) return
      figures.cases++
      const wasAccepted = await runner
        .run(() => subject.check(server, one))
        .catch((error) => {
          failed = isShrinking = true
          throw error
        })
      if (wasAccepted) figures.accepted++
    })
    let isShrinking = false
    const numRuns = Math.ceil(cases / lanes)
    const replay = path === undefined ? {} : { path }
    await fc.assert(property, { seed: seed + number, numRuns, ...replay })
  }

  const results = await Promise.allSettled(
    Array.from({ length: lanes }, (_, number) => runLane(number)),
  )
  const failure = results.find(({ status }) => status === 'rejected') as
    | PromiseRejectedResult
    | undefined
  if (failure)
    throw new Error(`fuzzing ${subject.name}: ${failure.reason.message}`, { cause: failure.reason })
  return figures
}

/** Runs cases concurrently. A case that was too slow runs again while no other case runs. */
function createRunner() {
  let running = 0
  let exclusive: Promise<unknown> = Promise.resolve()

  async function run(check: () => Promise<boolean>): Promise<boolean> {
    await exclusive
    running++
    try {
      return await check()
    } catch (error) {
      if (!(error instanceof TooSlow)) throw error
    } finally {
      running--
    }
    return runExclusively(check)
  }

  async function runExclusively(check: () => Promise<boolean>): Promise<boolean> {
    const previous = exclusive
    const { promise, resolve } = Promise.withResolvers<void>()
    exclusive = promise
    try {
      await previous
      for (let waitCount = 0; running > 0 && waitCount < 1000; waitCount++) await sleep(10)
      return await retry(check)
    } finally {
      resolve()
    }
  }

  return { run }
}

async function retry(
  check: () => Promise<boolean>,
  attempts = MAX_ATTEMPT_COUNT,
): Promise<boolean> {
  try {
    return await check()
  } catch (error) {
    if (!(error instanceof TooSlow) || attempts === 1) throw error
    return retry(check, attempts - 1)
  }
}
