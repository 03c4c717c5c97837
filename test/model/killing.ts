import { setTimeout as sleep } from 'node:timers/promises'
import { attempt } from '../support/client.ts'
import { differences } from './agreement.ts'
import { bind, isBound } from './binding.ts'
import type { World } from './model-state.ts'
import { type Operation, outcomeOf } from './operation.ts'
import { check, type Walk } from './performing.ts'
import { type Seen, see } from './server-snapshot.ts'

/** Longer than any lease of the dead. */
const PATIENCE_MS = 30_000

/**
 * kill -9 while the operation is in flight. Answered, it is done for good; else all of it or nothing is found once the server is
 * there again (of what has several transactions the first ones), and the walk goes on from that.
 */
export async function killedDuring(on: Walk, operation: Operation, input: unknown) {
  const { dice, client, process, figures, pace } = on
  const running = operation.run(client, input).then(
    (answer) => ({ answer }),
    (error: unknown) => ({ error }),
  )
  await sleep((dice.below(120) / 100) * (pace.get(operation.name) ?? 10))
  await process.kill()
  const result = await running
  await process.start()
  figures.kills += 1
  const before = on.world
  if ('answer' in result) {
    const after = structuredClone(before)
    check(after, outcomeOf(after, operation, input), result.answer)
    on.world = (await settled(on, operation, input, () => [structuredClone(after)])).world
    return
  }
  refuseOther(result.error)
  figures.unanswered += 1
  const worlds = (seen: Seen) => possible(before, operation, input, seen)
  const { world, index } = await settled(on, operation, input, worlds)
  if (index > 0) figures.doneUnanswered += 1
  on.world = world
}

/** A connection that broke says so; what the server itself has said is no such thing. */
function refuseOther(error: unknown) {
  if (!(error instanceof TypeError || error instanceof SyntaxError)) throw error
}

/** The worlds in which the server may have died, first that in which nothing was done. */
function possible(before: World, operation: Operation, input: unknown, seen: Seen): World[] {
  const { steps = (all: unknown) => [all], halves = () => [] } = operation
  const done = steps(input).map((some) => {
    const world = structuredClone(before)
    outcomeOf(world, operation, some)
    return world
  })
  return [structuredClone(before), ...done, ...halves(before, input, seen)]
}

/** The one of the worlds that is seen to be there, in a while at the latest: jobs may have to end what was begun. */
async function settled(
  on: Walk,
  operation: Operation,
  input: unknown,
  worlds: (seen: Seen) => World[],
): Promise<{ world: World; index: number }> {
  const end = performance.now() + PATIENCE_MS
  for (;;) {
    const seen = await see(on.client.holdall, on.world)
    const possible = worlds(seen)
    for (const world of possible) bind(world, seen)
    for (const [index, world] of possible.entries())
      if (isBound(world) && differences(world, seen).length === 0) return { world, index }
    if (performance.now() > end) throw noneOf(possible, seen)
    await goOn(on, operation, input, seen)
    await sleep(200)
  }
}

/** Whoever was cut off in a confirm asks again, as clients do. */
async function goOn({ client }: Walk, operation: Operation, input: unknown, { uploads }: Seen) {
  const left = uploads.filter(({ status }) => status === 'PROCESSING')
  if (left.length === 0) return
  if (operation.name.startsWith('confirm')) await operation.run(client, input)
  else
    for (const { id } of left)
      await attempt(client.holdall, 'confirmUpload', { uploadId: id }, '__typename')
}

function noneOf(worlds: World[], seen: Seen): Error {
  const told = worlds.map((world) => differences(world, seen).slice(0, 8).join('\n'))
  return new Error(`after kill -9, none of these is there:\n${told.join('\n---\n')}`)
}
