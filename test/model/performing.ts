import { isDeepStrictEqual } from 'node:util'
import type { openProcess } from '../support/killable.ts'
import type { Dice } from '../support/seeded-random.ts'
import { differences } from './agreement.ts'
import { bind, isBound } from './binding.ts'
import { identified, type World } from './model-state.ts'
import { type Answer, type Client, type Operation, type Outcome, outcomeOf } from './operation.ts'
import { see, seeNew } from './server-snapshot.ts'

export type Figures = {
  operations: number
  refused: number
  kills: number
  /** Of the operations that were in flight at a kill those without an answer, and those of them that were done all the same. */
  unanswered: number
  doneUnanswered: number
  comparisons: number
  downloads: number
}

export type Walk = {
  dice: Dice
  client: Client
  process: Awaited<ReturnType<typeof openProcess>>
  world: World
  figures: Figures
  /** How long each operation took the last time, in milliseconds. */
  pace: Map<string, number>
}

/** An operation that nothing disturbs. */
export async function perform(on: Walk, operation: Operation, input: unknown) {
  const after = structuredClone(on.world)
  const expected = outcomeOf(after, operation, input)
  const began = performance.now()
  check(after, expected, await operation.run(on.client, input))
  on.pace.set(operation.name, performance.now() - began)
  const { holdall } = on.client
  if (!isBound(after)) bind(after, await seeNew(holdall, after))
  if (!isBound(after)) bind(after, await see(holdall, after))
  if (!isBound(after)) throw new Error(differences(after, await see(holdall, after)).join('\n'))
  if (expected.code) on.figures.refused += 1
  on.world = after
}

/** The answer is what the model says, and tells the ids of what is new. */
export function check(world: World, expected: Outcome, answer: Answer) {
  const [wanted, told] = [factsOf(expected), factsOf(answer)]
  if (!isDeepStrictEqual(wanted, told))
    throw new Error(`expected ${JSON.stringify(wanted)}, answered ${JSON.stringify(told)}`)
  const things = new Map(identified(world).map((thing) => [thing.key, thing]))
  for (const [index, key] of (expected.is ?? []).entries()) {
    const thing = things.get(key ?? -1)
    const id = answer.ids?.[index] ?? null
    if (thing) thing.id ??= id
    if (thing && thing.id !== id) throw new Error(`${thing.id} was meant, not ${id}`)
  }
}

/** Of a refusal only the code. */
const factsOf = ({ code, facts = null }: { code: string | null; facts?: unknown }) =>
  JSON.parse(JSON.stringify({ code, facts: code === null ? facts : null }))
