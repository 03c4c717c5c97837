import type { Env } from '../../../src/config.ts'
import { type Faulty, openFaulty } from './faulty.ts'
import type { Operation } from './operations.ts'
import { courseOf } from './trial.ts'
import { type Bounds, type Figures, type Walk, walk } from './walk.ts'

export type Plan = {
  operations: readonly Operation[]
  walks: readonly Walk[]
  /** Of each server by itself. */
  env?: () => Env
  /** How many servers work side by side, each over a folder of its own. */
  lanes?: number
  /** Nothing is begun after this moment (milliseconds since 1970). */
  until?: number
}

/** Walks each operation once for each kind of fault; the faults that were injected. Throws with the first that did harm. */
export async function walkAll({
  operations,
  walks,
  env = () => ({}),
  lanes = 2,
  until = Number.POSITIVE_INFINITY,
}: Plan): Promise<Figures> {
  const figures: Figures = new Map(operations.map(({ name }) => [name, new Map()]))
  const waiting = [...operations]
  const lane = async () => {
    await using faulty = await openFaulty({ env: env() })
    await faulty.start()
    for (let next = waiting.shift(); next && Date.now() < until; next = waiting.shift())
      await walkOne(faulty, next, walks, { figures, until })
  }
  const ended = await Promise.allSettled(Array.from({ length: lanes }, lane))
  const failure = ended.find((lane) => lane.status === 'rejected')
  if (failure) throw failure.reason
  return figures
}

async function walkOne(
  faulty: Faulty,
  operation: Operation,
  walks: readonly Walk[],
  bounds: Bounds,
) {
  const course = await courseOf(faulty, operation)
  for (const each of walks) {
    if (each.of?.test(operation.name) !== false) await walk(faulty, course, each, bounds)
  }
}
