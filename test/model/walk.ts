import { readConfig } from '../../src/config/config.ts'
import { createWorkspace } from '../support/client.ts'
import { Dice } from '../support/data/seeded-random.ts'
import { findings } from '../support/inspection.ts'
import { openProcess } from '../support/servers/killable.ts'
import type { TestServer } from '../support/servers/test-server.ts'
import { killDuring } from './killing.ts'
import { operations } from './operations.ts'
import { type Figures, perform, type RandomWalk } from './performing.ts'
import { differences } from './state/agreement.ts'
import { checkBytes } from './state/bytes.ts'
import { addWorkspace, emptyModel, type Model } from './state/model-state.ts'
import { takeSnapshot } from './state/server-snapshot.ts'

export type Length = {
  seed: number
  operations: number
  /** Kills the server during one of `killEvery` operations on average. */
  killEvery: number
  /** Compares the whole state after every `compareEvery` operations. */
  compareEvery: number
  /** Milliseconds since 1970 after which no operation starts. */
  until?: number
}

/**
 * Runs a random walk over the API against a model. The seed makes the operations repeatable. All responses
 * and the whole state of the server must match the model, also after kill -9. Throws an error with the seed
 * if they do not. `env` selects the database.
 */
export async function runRandomWalk(
  length: Length,
  env: { DATABASE_URL?: string },
): Promise<Figures> {
  await using process = await openProcess({ MAX_QUERY_COST: '10000000', ...env })
  const walk = await begin(process, length.seed)
  const history: string[] = []
  try {
    await runOperations(walk, length, history)
    await compare(walk, 'all')
    await runFsck({ DATA_DIR: process.dir, ...env })
  } catch (error) {
    const last = history.slice(-15).join('\n')
    const where = `MODEL_SEED=${length.seed}: operation ${walk.figures.operations}`
    throw new Error(`${where}: ${(error as Error).message}\nafter\n${last}`, { cause: error })
  }
  return walk.figures
}

async function begin(process: RandomWalk['process'], seed: number): Promise<RandomWalk> {
  const { holdall } = process
  const model = emptyModel()
  for (const name of ['First', 'Second']) {
    const { id, root } = await createWorkspace(holdall, { name })
    addWorkspace(model, id, root.id)
  }
  const zero = { operations: 0, refused: 0, kills: 0, unanswered: 0 }
  return {
    dice: new Dice(seed),
    client: { holdall, urls: new Map() },
    durations: new Map(),
    process,
    model,
    figures: { ...zero, doneUnanswered: 0, comparisons: 0, downloads: 0 },
  }
}

async function runOperations(walk: RandomWalk, length: Length, history: string[]) {
  const { dice, figures } = walk
  const { until = Number.POSITIVE_INFINITY } = length
  while (figures.operations < length.operations && Date.now() < until) {
    const operation = dice.weighed(operations)
    const input = operation.draw(walk.model, dice)
    if (input === null) continue
    figures.operations += 1
    history.push(`${operation.name} ${JSON.stringify(input)}`)
    if (dice.below(length.killEvery) === 0) await killDuring(walk, operation, input)
    else await perform(walk, operation, input)
    prune(walk.model)
    if (figures.operations % length.compareEvery === 0) await compare(walk, 5)
  }
}

/** Drops all but the last 40 ended uploads of each workspace from the model. */
function prune({ uploads, workspaces }: Model) {
  for (const index of workspaces.keys()) {
    const ended = [...uploads.values()].filter(
      ({ workspace, status, idempotencyKey }) =>
        workspace === index && status !== 'OPEN' && idempotencyKey === null,
    )
    for (const { key } of ended.slice(0, -40)) uploads.delete(key)
  }
}

async function compare(walk: RandomWalk, bytes: number | 'all') {
  const { client, model, figures, dice } = walk
  const lines = differences(model, await takeSnapshot(client.holdall, model))
  if (lines.length > 0) throw new Error(lines.slice(0, 20).join('\n'))
  figures.comparisons += 1
  figures.downloads += await checkBytes(client.holdall, model, dice, bytes)
}

async function runFsck(env: { DATA_DIR: string; DATABASE_URL?: string }) {
  const app = { config: readConfig(env) }
  const found = await findings({ app } as TestServer, { deep: true })
  if (found.length > 0) throw new Error(`fsck: ${JSON.stringify(found)}`)
}
