import { attempt } from '../support/client.ts'
import type { Dice } from '../support/seeded-random.ts'
import type { TestServer } from '../support/test-server.ts'
import type { World } from './model-state.ts'
import { attempted } from './refusal.ts'
import type { Seen } from './server-snapshot.ts'

/** What the model says must come of it: a code where it is refused; what the answer tells, and keys of the things whose ids it tells. */
export type Outcome = { code: string | null; facts?: unknown; is?: (number | null)[] }
/** What the server said. */
export type Answer = { code: string | null; facts?: unknown; ids?: (string | null)[] }

/** Whoever asks the server, and remembers the addresses that it was given. */
export type Client = { holdall: TestServer; addresses: Map<string, string> }

/** One thing that can be asked of the API. */
export type Operation<Input = any> = {
  name: string
  /** How often it is drawn beside the others. */
  weight: number
  /** An input for the world as it is, right or wrong; null where none makes sense. */
  draw: (world: World, dice: Dice) => Input | null
  run: (client: Client, input: Input) => Promise<Answer>
  /** Does it in the model; throws Refusal. */
  apply: (world: World, input: Input) => Outcome
  /** Its transactions, where it has more than one: inputs that do the first of them alone, the first two, … */
  steps?: (input: Input) => Input[]
  /** What else may have come of it, where it was cut off: worlds, given what is seen. */
  halves?: (world: World, input: Input, seen: Seen) => World[]
}

/** What comes of it in this world, which is changed. */
export function outcomeOf(world: World, { apply }: Operation, input: unknown): Outcome {
  const result = attempted(world, () => apply(world, input))
  return 'done' in result ? result.done : { code: result.code }
}

type Tell = (payload: any) => Omit<Answer, 'code'>

/** A mutation as it stands: the code of its error, or what `tell` reads in the payload. */
export const mutation =
  (name: string, selection: string, tell: Tell) =>
  async ({ holdall }: Client, input: any): Promise<Answer> => {
    const payload = await attempt(holdall, name, input, selection)
    return payload.code ? { code: payload.code } : { code: null, ...tell(payload) }
  }

/** A mutation over many: the code of each item, and the ids of those that were done. */
export const batchMutation = (
  name: string,
  more = '',
  tell: (payload: any) => unknown = () => null,
) =>
  mutation(name, `results { entryId error { code } } ${more}`, (payload) => ({
    facts: [payload.results.map(({ error }: any) => error?.code ?? null), tell(payload)],
    ids: payload.results.map(({ entryId }: any) => entryId),
  }))

type Batch = { mode: string }

/** The same in the model: ALL_OR_NOTHING or each by itself. `tell` is asked when all is done. */
export function batchOutcome<Item>(
  world: World,
  { mode }: Batch,
  items: readonly Item[],
  act: (item: Item) => number | null,
  tell: (done: boolean[]) => unknown = () => null,
): Outcome {
  const keys: (number | null)[] = []
  const codes: (string | null)[] = []
  const each = (item: Item) => {
    const result = attempted(world, () => act(item))
    codes.push('done' in result ? null : result.code)
    keys.push('done' in result ? result.done : null)
    return 'done' in result
  }
  if (mode === 'BEST_EFFORT') items.forEach(each)
  else if (!allOrNothing(world, items, each)) return { code: codes.at(-1) ?? null }
  return { code: null, facts: [codes, tell(codes.map((code) => code === null))], is: keys }
}

function allOrNothing<Item>(world: World, items: readonly Item[], each: (item: Item) => boolean) {
  const before = structuredClone(world)
  if (items.every(each)) return true
  Object.assign(world, before)
  return false
}

/** What the items of a batch have counted; nothing where none was done. */
export const sumOfDone = (done: boolean[], counts: readonly number[]) =>
  done.includes(true) ? counts.reduce((all, count) => all + count, 0) : 0

/** The beginnings of a list: each is what was done of it, where the rest was cut off. */
const beginnings = <T>(list: readonly T[]): T[][] => list.map((_, i) => list.slice(0, i + 1))

/** Of a batch whose items stand in `field`: all of it, or item by item. */
export const stepsOf =
  (field: string) =>
  (input: any): any[] =>
    input.mode === 'BEST_EFFORT'
      ? beginnings(input[field] as unknown[]).map((list) => ({ ...input, [field]: list }))
      : [input]
