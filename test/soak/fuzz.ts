import { fuzzOnServers } from '../fuzz/rounds.ts'
import { subjects } from '../fuzz/subjects.ts'

/** Tries inputs of each kind in turn, until time is over; so many of each. Throws what fast-check says of the first that fails. */
export async function fuzz({
  seed,
  until,
}: {
  seed: number
  until: number
}): Promise<Record<string, number>> {
  const figures = Object.fromEntries(subjects.map(({ name }) => [name, 0]))
  // fast-check takes seeds of 32 bits; of each round of houses some are taken.
  for (let round = 0; Date.now() < until; round++) {
    for (const subject of subjects) {
      const bounds = { seed: (seed + round) % 100_000_000, cases: 500, until }
      const { cases } = await fuzzOnServers(subject, bounds)
      figures[subject.name] = (figures[subject.name] ?? 0) + cases
    }
  }
  return figures
}
