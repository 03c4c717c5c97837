import { setTimeout as sleep } from 'node:timers/promises'
import { attempt } from '../support/client.ts'
import { type Operation, outcomeOf } from './operations/operation.ts'
import { check, type RandomWalk } from './performing.ts'
import { differences } from './state/agreement.ts'
import { bind, isBound } from './state/binding.ts'
import type { Model } from './state/model-state.ts'
import { type Snapshot, takeSnapshot } from './state/server-snapshot.ts'

/** Longer than the lease of a killed process. */
const RECOVERY_TIMEOUT_MS = 30_000

/**
 * Kills the server with kill -9 while the operation is in flight, and restarts it. An operation with a
 * response must have all its effects. Without a response it must have all or none of them (of several
 * transactions the first ones). The random walk continues from the state that the server has.
 */
export async function killDuring(walk: RandomWalk, operation: Operation, input: unknown) {
  const { dice, client, process, figures, durations } = walk
  const running = operation.run(client, input).then(
    (answer) => ({ answer }),
    (error: unknown) => ({ error }),
  )
  await sleep((dice.below(120) / 100) * (durations.get(operation.name) ?? 10))
  await process.kill()
  const result = await running
  await process.start()
  figures.kills += 1
  const before = walk.model
  if ('answer' in result) {
    const after = structuredClone(before)
    check(after, outcomeOf(after, operation, input), result.answer)
    walk.model = (await waitForState(walk, operation, input, () => [structuredClone(after)])).model
    return
  }
  rethrowUnlessDisconnected(result.error)
  figures.unanswered += 1
  const states = (snapshot: Snapshot) => possibleStates(before, operation, input, snapshot)
  const { model, index } = await waitForState(walk, operation, input, states)
  if (index > 0) figures.doneUnanswered += 1
  walk.model = model
}

/** Rethrows every error but those of a broken connection. */
function rethrowUnlessDisconnected(error: unknown) {
  if (!(error instanceof TypeError || error instanceof SyntaxError)) throw error
}

/**
 * Returns the states that an interrupted operation may leave behind. The first one is the state before it.
 */
function possibleStates(
  before: Model,
  operation: Operation,
  input: unknown,
  snapshot: Snapshot,
): Model[] {
  const { steps = (all: unknown) => [all], partialStates = () => [] } = operation
  const done = steps(input).map((part) => {
    const model = structuredClone(before)
    outcomeOf(model, operation, part)
    return model
  })
  return [structuredClone(before), ...done, ...partialStates(before, input, snapshot)]
}

/** Waits until the server has one of the possible states, because jobs may have to finish what was begun. */
async function waitForState(
  walk: RandomWalk,
  operation: Operation,
  input: unknown,
  states: (snapshot: Snapshot) => Model[],
): Promise<{ model: Model; index: number }> {
  const deadline = performance.now() + RECOVERY_TIMEOUT_MS
  for (;;) {
    const snapshot = await takeSnapshot(walk.client.holdall, walk.model)
    const possibleStates = states(snapshot)
    for (const model of possibleStates) bind(model, snapshot)
    for (const [index, model] of possibleStates.entries())
      if (isBound(model) && differences(model, snapshot).length === 0) return { model, index }
    if (performance.now() > deadline) throw noMatchError(possibleStates, snapshot)
    await repeatConfirms(walk, operation, input, snapshot)
    await sleep(200)
  }
}

/** Repeats interrupted confirms, as clients do. */
async function repeatConfirms(
  { client }: RandomWalk,
  operation: Operation,
  input: unknown,
  { uploads }: Snapshot,
) {
  const interrupted = uploads.filter(({ status }) => status === 'PROCESSING')
  if (interrupted.length === 0) return
  if (operation.name.startsWith('confirm')) await operation.run(client, input)
  else
    for (const { id } of interrupted)
      await attempt(client.holdall, 'confirmUpload', { uploadId: id }, '__typename')
}

function noMatchError(states: Model[], snapshot: Snapshot): Error {
  const lines = states.map((model) => differences(model, snapshot).slice(0, 8).join('\n'))
  return new Error(
    `after kill -9, the server has none of the possible states:\n${lines.join('\n---\n')}`,
  )
}
