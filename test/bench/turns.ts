import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'

/** Runs the tasks in turns for `rounds` rounds and returns the median result of each. */
export async function measureInTurns<const S extends Record<string, () => Promise<number>>>(
  rounds: number,
  tasks: S,
): Promise<{ [name in keyof S]: number }> {
  const results = Object.entries(tasks).map(([name, work]) => ({
    name,
    work,
    all: [] as number[],
  }))
  for (let round = 0; round < rounds; round++) {
    for (const { work, all } of results) all.push(await work())
  }
  const medians = results.map(({ name, all }) => [name, median(all)])
  return Object.fromEntries(medians) as { [name in keyof S]: number }
}

export const median = (all: readonly number[]): number =>
  all.toSorted((a, b) => a - b)[Math.floor(all.length / 2)] ?? Number.NaN

/** Returns the duration of `work` in seconds. */
export async function secondsOf(work: () => Promise<unknown>): Promise<number> {
  const from = performance.now()
  await work()
  return (performance.now() - from) / 1000
}

export const memoryBacked = '/dev/shm'

/** Creates an empty directory on disk, or in memory; disposing removes it. */
export async function newFolder(where = tmpdir()) {
  const path = await mkdtemp(join(where, 'holdall-bench-'))
  return {
    path,
    [Symbol.asyncDispose]: () => rm(path, { recursive: true, force: true }),
  }
}
