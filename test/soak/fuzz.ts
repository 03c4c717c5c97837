import { fuzzOnServers } from '../fuzz/rounds.ts'
import { subjects } from '../fuzz/subjects.ts'

/**
 * Fuzzes each kind of input in turn until `until` and returns the number of cases of each. Throws the report
 * of fast-check at the first failure.
 */
export async function fuzz({
  seed,
  until,
}: {
  seed: number
  until: number
}): Promise<Record<string, number>> {
  const figures = Object.fromEntries(subjects.map(({ name }) => [name, 0]))
  // fast-check takes 32-bit seeds; each round of servers uses several.
  for (let round = 0; Date.now() < until; round++) {
    for (const subject of subjects) {
      const bounds = { seed: (seed + round) % 100_000_000, cases: 500, until }
      const { cases } = await fuzzOnServers(subject, bounds)
      figures[subject.name] = (figures[subject.name] ?? 0) + cases
    }
  }
  return figures
}
