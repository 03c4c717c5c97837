import { operations } from '../support/faults/operations.ts'
import { walkAll } from '../support/faults/plan.ts'
import { olderFolder, walkStart } from '../support/faults/starts.ts'
import type { Figures, Walk } from '../support/faults/walk.ts'
import { Dice } from '../support/seeded-random.ts'

/** What befalls SQLite and the disk; steps that only read are struck, too. */
const walks: Walk[] = [
  { fault: 'KILL_ANYWHERE' },
  { fault: 'KILL_AFTER' },
  { fault: 'ENOSPC' },
  { fault: 'ENOSPC', forGood: true },
  { fault: 'EIO' },
  { fault: 'EIO', forGood: true },
  { fault: 'EIO_ON_THE_WAY' },
  { fault: 'EIO_READING' },
  { fault: 'EMFILE' },
  { fault: 'EROFS' },
  { fault: 'BUSY' },
  { fault: 'LOST' },
]
const startFaults = ['KILL_AFTER', 'KILL_BEFORE_COMMIT', 'EIO', 'ENOSPC', 'LOST'] as const

/**
 * Strikes every step of every operation with every kind of fault, an operation and a kind at a time and in an order that `seed` says,
 * until time is over. Throws with the first that did harm; answers how many faults were injected, by kind.
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
        add(injected, await walkAll({ operations: [operation], walks: [walk], lanes: 1 }))
      }
      add(injected, await starts(seed + round, until))
    }
  } catch (cause) {
    throw new Error(`fault points, seed ${seed}: ${cause}`, { cause })
  }
  return injected
}

const pairs = () =>
  operations.flatMap((operation) => walks.map((walk) => [operation, walk] as const))

/** One kind of fault in the first start, and in one that meets an older database. */
async function starts(seed: number, until: number): Promise<Figures> {
  const figures: Figures = new Map()
  const fault = startFaults[seed % startFaults.length] ?? 'KILL_AFTER'
  await using older = await olderFolder('0005')
  await walkStart(fault, figures, { until })
  await walkStart(fault, figures, { from: older.dir, until })
  return figures
}

function add(injected: Record<string, number>, figures: Figures): void {
  for (const kinds of figures.values())
    for (const [kind, number] of kinds) injected[kind] = (injected[kind] ?? 0) + number
}

/** The same order for the same seed. */
function shuffled<T>(items: T[], seed: number): T[] {
  const dice = new Dice(seed)
  const keyed = items.map((item) => ({ item, key: dice.below(2 ** 32) }))
  return keyed.sort((a, b) => a.key - b.key).map(({ item }) => item)
}
