import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'

/** Runs the stories one after the other, `rounds` times over, and answers with the middle of what each said. */
export async function inTurns<const S extends Record<string, () => Promise<number>>>(
  rounds: number,
  stories: S,
): Promise<{ [name in keyof S]: number }> {
  const said = Object.entries(stories).map(([name, story]) => ({
    name,
    story,
    all: [] as number[],
  }))
  for (let round = 0; round < rounds; round++) {
    for (const { story, all } of said) all.push(await story())
  }
  const middles = said.map(({ name, all }) => [name, middle(all)])
  return Object.fromEntries(middles) as { [name in keyof S]: number }
}

export const middle = (all: readonly number[]): number =>
  all.toSorted((a, b) => a - b)[Math.floor(all.length / 2)] ?? Number.NaN

/** How long it takes, in seconds. */
export async function secondsOf(story: () => Promise<unknown>): Promise<number> {
  const from = performance.now()
  await story()
  return (performance.now() - from) / 1000
}

export const memoryBacked = '/dev/shm'

/** An empty folder on the disk, or in memory; gone when it is disposed of. */
export async function newFolder(where = tmpdir()) {
  const path = await mkdtemp(join(where, 'holdall-bench-'))
  return {
    path,
    [Symbol.asyncDispose]: () => rm(path, { recursive: true, force: true }),
  }
}
