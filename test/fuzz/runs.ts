import { setTimeout as sleep } from 'node:timers/promises'
import fc from 'fast-check'
import type { Ground } from './fuzz-server.ts'
import { TooSlow } from './wire.ts'

/** What is fuzzed: cases, and what must be true of each. `check` throws; it says whether the house took the case for a right one. */
export type Subject<T = any> = {
  name: string
  /** Of the attacks and faults that it is about. */
  rows: string
  /** Takes long: a short run has fewer. */
  isDear?: boolean
  cases: (ground: Ground) => fc.Arbitrary<T>
  check: (ground: Ground, one: T) => Promise<boolean>
}
type Bounds = {
  seed: number
  cases: number
  /** Milliseconds since 1970. */
  until?: number
  /** Of a failure, as fast-check has told it: then this one case is tried. */
  path?: string | undefined
}

/** So many cases are in flight. */
export const LANES = 4
/** How often a case that was late is tried alone before it is taken for slow. */
const TRIES = 3

/** Tries `cases` cases, a few at a time. Throws what fast-check says of the first that fails, with its seed and path. */
export async function fuzz(subject: Subject, ground: Ground, bounds: Bounds) {
  const { seed, cases, until = Number.POSITIVE_INFINITY, path } = bounds
  const figures = { cases: 0, taken: 0 }
  const road = openRoad()
  const lanes = path === undefined ? LANES : 1
  let failed = false

  async function lane(number: number) {
    const property = fc.asyncProperty(subject.cases(ground), async (one) => {
      if (Date.now() > until || (failed && !isShrinking)) return
      figures.cases++
      const wasTaken = await road
        .drive(() => subject.check(ground, one))
        .catch((error) => {
          failed = isShrinking = true
          throw error
        })
      if (wasTaken) figures.taken++
    })
    let isShrinking = false
    const numRuns = Math.ceil(cases / lanes)
    const replay = path === undefined ? {} : { path }
    await fc.assert(property, { seed: seed + number, numRuns, ...replay })
  }

  const results = await Promise.allSettled(
    Array.from({ length: lanes }, (_, number) => lane(number)),
  )
  const failure = results.find(({ status }) => status === 'rejected') as
    | PromiseRejectedResult
    | undefined
  if (failure)
    throw new Error(`fuzzing ${subject.name}: ${failure.reason.message}`, { cause: failure.reason })
  return figures
}

/** Cases drive side by side; one that was late drives once more when all others stand. */
function openRoad() {
  let driving = 0
  let blocked: Promise<unknown> = Promise.resolve()

  async function drive(check: () => Promise<boolean>): Promise<boolean> {
    await blocked
    driving++
    try {
      return await check()
    } catch (error) {
      if (!(error instanceof TooSlow)) throw error
    } finally {
      driving--
    }
    return alone(check)
  }

  async function alone(check: () => Promise<boolean>): Promise<boolean> {
    const before = blocked
    const { promise, resolve } = Promise.withResolvers<void>()
    blocked = promise
    try {
      await before
      for (let waits = 0; driving > 0 && waits < 1000; waits++) await sleep(10)
      return await repeated(check)
    } finally {
      resolve()
    }
  }

  return { drive }
}

async function repeated(check: () => Promise<boolean>, tries = TRIES): Promise<boolean> {
  try {
    return await check()
  } catch (error) {
    if (!(error instanceof TooSlow) || tries === 1) throw error
    return repeated(check, tries - 1)
  }
}
