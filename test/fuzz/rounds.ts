import { findings } from '../support/inspection.ts'
import { startFuzzServer, unlimited } from './fuzz-server.ts'
import { CONCURRENCY, fuzz, type Subject } from './runs.ts'

type Bounds = { seed: number; cases: number; until?: number; path?: string | undefined }

/** Cases per server. Data that earlier cases leave behind slows down later ones. */
const CASES_PER_SERVER = 500

/** Every other server runs without limits, the others with the defaults. */
const envOf = (seed: number) => (Math.floor(seed / CONCURRENCY) % 2 === 0 ? unlimited : {})

/**
 * Runs at least `cases` cases, or until `until`, on a new server for every CASES_PER_SERVER, and checks
 * each with fsck.
 */
export async function fuzzOnServers(subject: Subject, { seed, cases, ...bounds }: Bounds) {
  const { until = Number.POSITIVE_INFINITY, path } = bounds
  const figures = { cases: 0, accepted: 0 }
  const firstSeed = path === undefined ? seed * CONCURRENCY : seed
  for (
    let serverSeed = firstSeed;
    figures.cases < cases && Date.now() < until;
    serverSeed += CONCURRENCY
  ) {
    await using server = await startFuzzServer(envOf(serverSeed))
    const batchSize = Math.min(cases - figures.cases, CASES_PER_SERVER)
    const result = await fuzz(subject, server, { seed: serverSeed, cases: batchSize, ...bounds })
    const found = await findings(server.holdall, { pauseMs: 0 })
    if (found.length > 0)
      throw new Error(
        `after ${subject.name} of seed ${serverSeed}: ${JSON.stringify(found.slice(0, 5))}`,
      )
    figures.cases += result.cases
    figures.accepted += result.accepted
    if (path !== undefined) break
  }
  return figures
}
