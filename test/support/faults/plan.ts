import type { Env } from '../../../src/config/env.ts'
import { type Faulty, openFaulty } from './faulty.ts'
import type { Operation } from './operations.ts'
import { baselineOf } from './trial.ts'
import { type FaultCase, type FaultCounts, type Limits, strikeEachStep } from './walk.ts'

export type Plan = {
  operations: readonly Operation[]
  cases: readonly FaultCase[]
  /** Variables of one server. */
  env?: () => Env
  /** Number of servers that run in parallel, each over its own folder. */
  workers?: number
  /** No fault is injected after this moment (milliseconds since 1970). */
  until?: number
}

/**
 * Injects each kind of fault into each operation. Returns the injected faults. Throws at the first violation.
 */
export async function injectFaults({
  operations,
  cases,
  env = () => ({}),
  workers = 2,
  until = Number.POSITIVE_INFINITY,
}: Plan): Promise<FaultCounts> {
  const counts: FaultCounts = new Map(operations.map(({ name }) => [name, new Map()]))
  const waiting = [...operations]
  const worker = async () => {
    await using faulty = await openFaulty({ env: env() })
    await faulty.start()
    for (let next = waiting.shift(); next && Date.now() < until; next = waiting.shift())
      await injectInto(faulty, next, cases, { counts, until })
  }
  const ended = await Promise.allSettled(Array.from({ length: workers }, worker))
  const failure = ended.find((worker) => worker.status === 'rejected')
  if (failure) throw failure.reason
  return counts
}

async function injectInto(
  faulty: Faulty,
  operation: Operation,
  cases: readonly FaultCase[],
  limits: Limits,
) {
  const baseline = await baselineOf(faulty, operation)
  for (const each of cases) {
    if (each.of?.test(operation.name) !== false)
      await strikeEachStep(faulty, baseline, each, limits)
  }
}
