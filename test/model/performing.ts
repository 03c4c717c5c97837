import { isDeepStrictEqual } from 'node:util'
import type { Dice } from '../support/data/seeded-random.ts'
import type { openProcess } from '../support/servers/killable.ts'
import {
  type Answer,
  type Client,
  type Operation,
  type Outcome,
  outcomeOf,
} from './operations/operation.ts'
import { differences } from './state/agreement.ts'
import { bind, isBound } from './state/binding.ts'
import { type Model, objectsWithIds } from './state/model-state.ts'
import { takePartialSnapshot, takeSnapshot } from './state/server-snapshot.ts'

export type Figures = {
  operations: number
  refused: number
  kills: number
  /** Operations without a response because of a kill, and those of them that had an effect. */
  unanswered: number
  doneUnanswered: number
  comparisons: number
  downloads: number
}

export type RandomWalk = {
  dice: Dice
  client: Client
  process: Awaited<ReturnType<typeof openProcess>>
  model: Model
  figures: Figures
  /** Last duration of each operation in milliseconds. */
  durations: Map<string, number>
}

/** Runs an operation without a kill and compares the response with the model. */
export async function perform(walk: RandomWalk, operation: Operation, input: unknown) {
  const after = structuredClone(walk.model)
  const expected = outcomeOf(after, operation, input)
  const startedAt = performance.now()
  check(after, expected, await operation.run(walk.client, input))
  walk.durations.set(operation.name, performance.now() - startedAt)
  const { holdall } = walk.client
  if (!isBound(after)) bind(after, await takePartialSnapshot(holdall, after))
  if (!isBound(after)) bind(after, await takeSnapshot(holdall, after))
  if (!isBound(after))
    throw new Error(differences(after, await takeSnapshot(holdall, after)).join('\n'))
  if (expected.code) walk.figures.refused += 1
  walk.model = after
}

/** Compares the response with the model and assigns the ids of new objects. */
export function check(model: Model, expected: Outcome, answer: Answer) {
  const [expectedFacts, actualFacts] = [factsOf(expected), factsOf(answer)]
  if (!isDeepStrictEqual(expectedFacts, actualFacts))
    throw new Error(
      `expected ${JSON.stringify(expectedFacts)}, received ${JSON.stringify(actualFacts)}`,
    )
  const objects = new Map(objectsWithIds(model).map((object) => [object.key, object]))
  for (const [index, key] of (expected.keys ?? []).entries()) {
    const object = objects.get(key ?? -1)
    const id = answer.ids?.[index] ?? null
    if (object) object.id ??= id
    if (object && object.id !== id) throw new Error(`expected the id ${object.id}, received ${id}`)
  }
}

/** Returns the code, and the facts only without an error. */
const factsOf = ({ code, facts = null }: { code: string | null; facts?: unknown }) =>
  JSON.parse(JSON.stringify({ code, facts: code === null ? facts : null }))
