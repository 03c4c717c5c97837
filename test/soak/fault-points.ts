import { Dice } from '../support/data/seeded-random.ts'
import { operations } from '../support/faults/operations.ts'
import { injectFaults } from '../support/faults/plan.ts'
import { injectIntoStart, olderFolder } from '../support/faults/starts.ts'
import type { FaultCase, FaultCounts } from '../support/faults/walk.ts'

/** Faults of SQLite and the disk, also at steps that only read. */
const cases: FaultCase[] = [
  { fault: 'KILL_ANYWHERE' },
  { fault: 'KILL_AFTER' },
  { fault: 'ENOSPC' },
  { fault: 'ENOSPC', isPermanent: true },
  { fault: 'EIO' },
  { fault: 'EIO', isPermanent: true },
  { fault: 'EIO_ON_THE_WAY' },
  { fault: 'EIO_READING' },
  { fault: 'EMFILE' },
  { fault: 'EROFS' },
  { fault: 'BUSY' },
  { fault: 'LOST' },
]
const startFaults = ['KILL_AFTER', 'KILL_BEFORE_COMMIT', 'EIO', 'ENOSPC', 'LOST'] as const

/**
 * Injects every kind of fault at every step of every operation, in an order given by `seed`, until `until`.
 * Throws at the first failure; returns the number of injected faults by kind.
 */
export async function faultPoints({
  seed,
  until,
}: {
  seed: number
  until: number
}): Promise<Record<string, number>> {
  const injected: Record<string, number> = {}
  try {
    for (let round = 0; Date.now() < until; round++) {
      for (const [operation, walk] of shuffled(pairs(), seed + round)) {
        if (Date.now() >= until) break
        add(injected, await injectFaults({ operations: [operation], cases: [walk], workers: 1 }))
      }
      add(injected, await starts(seed + round, until))
    }
  } catch (cause) {
    throw new Error(`fault points, seed ${seed}: ${cause}`, { cause })
  }
  return injected
}

const pairs = () =>
  operations.flatMap((operation) => cases.map((faultCase) => [operation, faultCase] as const))

/** Injects one kind of fault into the first start and into one that migrates an older database. */
async function starts(seed: number, until: number): Promise<FaultCounts> {
  const counts: FaultCounts = new Map()
  const fault = startFaults[seed % startFaults.length] ?? 'KILL_AFTER'
  await using older = await olderFolder('0005')
  await injectIntoStart(fault, counts, { until })
  await injectIntoStart(fault, counts, { from: older.dir, until })
  return counts
}

function add(injected: Record<string, number>, counts: FaultCounts): void {
  for (const kinds of counts.values())
    for (const [kind, number] of kinds) injected[kind] = (injected[kind] ?? 0) + number
}

/** Shuffles the items; the same seed gives the same order. */
function shuffled<T>(items: T[], seed: number): T[] {
  const dice = new Dice(seed)
  const keyed = items.map((item) => ({ item, key: dice.below(2 ** 32) }))
  return keyed.sort((a, b) => a.key - b.key).map(({ item }) => item)
}
