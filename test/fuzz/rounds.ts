import { findings } from '../support/inspection.ts'
import { openGround, wide } from './fuzz-server.ts'
import { fuzz, LANES, type Subject } from './runs.ts'

type Bounds = { seed: number; cases: number; until?: number; path?: string | undefined }

/** So many cases have a house for themselves: what they leave behind slows down the others. */
const IN_ONE_HOUSE = 500

/** Every other house has limits that hide nothing of what lies behind them, the others have the usual ones. */
const envOf = (seed: number) => (Math.floor(seed / LANES) % 2 === 0 ? wide : {})

/** Tries at least `cases` cases, unless time is over, each few hundred in a new house, in which fsck then finds nothing. */
export async function fuzzOnServers(subject: Subject, { seed, cases, ...bounds }: Bounds) {
  const { until = Number.POSITIVE_INFINITY, path } = bounds
  const figures = { cases: 0, taken: 0 }
  const first = path === undefined ? seed * LANES : seed
  for (let at = first; figures.cases < cases && Date.now() < until; at += LANES) {
    await using ground = await openGround(envOf(at))
    const some = Math.min(cases - figures.cases, IN_ONE_HOUSE)
    const more = await fuzz(subject, ground, { seed: at, cases: some, ...bounds })
    const found = await findings(ground.holdall, { pauseMs: 0 })
    if (found.length > 0)
      throw new Error(`after ${subject.name} of seed ${at}: ${JSON.stringify(found.slice(0, 5))}`)
    figures.cases += more.cases
    figures.taken += more.taken
    if (path !== undefined) break
  }
  return figures
}
