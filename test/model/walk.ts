import { readConfig } from '../../src/config.ts'
import { createWorkspace } from '../support/client.ts'
import { findings } from '../support/inspection.ts'
import { openProcess } from '../support/killable.ts'
import { Dice } from '../support/seeded-random.ts'
import type { TestServer } from '../support/test-server.ts'
import { differences } from './agreement.ts'
import { checkBytes } from './bytes.ts'
import { killedDuring } from './killing.ts'
import { addWorkspace, emptyWorld, type World } from './model-state.ts'
import { operations } from './operations.ts'
import { type Figures, perform, type Walk } from './performing.ts'
import { see } from './server-snapshot.ts'

export type Length = {
  seed: number
  operations: number
  /** One of so many operations, on the average, is cut off by kill -9. */
  killEvery: number
  /** After so many the whole is compared. */
  compareEvery: number
  /** Milliseconds since 1970: no operation begins after it. */
  until?: number
}

/**
 * A walk over the API with a model of the world beside it, which the seed repeats. What is answered, and all that there is, must be as
 * the model says, through any number of deaths of the server; throws with the seed where it is not. `env` says where the rows are.
 */
export async function walk(length: Length, env: { DATABASE_URL?: string }): Promise<Figures> {
  await using process = await openProcess({ MAX_QUERY_COST: '10000000', ...env })
  const on = await begin(process, length.seed)
  const history: string[] = []
  try {
    await wander(on, length, history)
    await compare(on, 'all')
    await inspect({ DATA_DIR: process.dir, ...env })
  } catch (error) {
    const last = history.slice(-15).join('\n')
    const where = `MODEL_SEED=${length.seed}: operation ${on.figures.operations}`
    throw new Error(`${where}: ${(error as Error).message}\nafter\n${last}`, { cause: error })
  }
  return on.figures
}

async function begin(process: Walk['process'], seed: number): Promise<Walk> {
  const { holdall } = process
  const world = emptyWorld()
  for (const name of ['First', 'Second']) {
    const { id, root } = await createWorkspace(holdall, { name })
    addWorkspace(world, id, root.id)
  }
  const nothing = { operations: 0, refused: 0, kills: 0, unanswered: 0 }
  return {
    dice: new Dice(seed),
    client: { holdall, addresses: new Map() },
    pace: new Map(),
    process,
    world,
    figures: { ...nothing, doneUnanswered: 0, comparisons: 0, downloads: 0 },
  }
}

async function wander(on: Walk, length: Length, history: string[]) {
  const { dice, figures } = on
  const { until = Number.POSITIVE_INFINITY } = length
  while (figures.operations < length.operations && Date.now() < until) {
    const operation = dice.weighed(operations)
    const input = operation.draw(on.world, dice)
    if (input === null) continue
    figures.operations += 1
    history.push(`${operation.name} ${JSON.stringify(input)}`)
    if (dice.below(length.killEvery) === 0) await killedDuring(on, operation, input)
    else await perform(on, operation, input)
    prune(on.world)
    if (figures.operations % length.compareEvery === 0) await compare(on, 5)
  }
}

/** What has ended long ago is not asked for any more. */
function prune({ uploads, workspaces }: World) {
  for (const index of workspaces.keys()) {
    const ended = [...uploads.values()].filter(
      ({ workspace, status, idempotencyKey }) =>
        workspace === index && status !== 'OPEN' && idempotencyKey === null,
    )
    for (const { key } of ended.slice(0, -40)) uploads.delete(key)
  }
}

async function compare(on: Walk, bytes: number | 'all') {
  const { client, world, figures, dice } = on
  const told = differences(world, await see(client.holdall, world))
  if (told.length > 0) throw new Error(told.slice(0, 20).join('\n'))
  figures.comparisons += 1
  figures.downloads += await checkBytes(client.holdall, world, dice, bytes)
}

async function inspect(env: { DATA_DIR: string; DATABASE_URL?: string }) {
  const app = { config: readConfig(env) }
  const told = await findings({ app } as TestServer, { deep: true })
  if (told.length > 0) throw new Error(`fsck: ${JSON.stringify(told)}`)
}
