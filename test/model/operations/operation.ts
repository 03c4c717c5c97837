import { attempt } from '../../support/client.ts'
import type { Dice } from '../../support/data/seeded-random.ts'
import type { TestServer } from '../../support/servers/test-server.ts'
import { tryInModel } from '../refusal.ts'
import type { Model } from '../state/model-state.ts'
import type { Snapshot } from '../state/server-snapshot.ts'

/**
 * The expected response: an error code or null, the facts of the payload, and the keys of the objects whose
 * ids it has.
 */
export type Outcome = { code: string | null; facts?: unknown; keys?: (number | null)[] }
/** The response of the server. */
export type Answer = { code: string | null; facts?: unknown; ids?: (string | null)[] }

/** A client and the URLs that it has received, by id. */
export type Client = { holdall: TestServer; urls: Map<string, string> }

/** An operation of the API. */
export type Operation<Input = any> = {
  name: string
  /** Relative frequency. */
  weight: number
  /** Draws an input, valid or not, for the current state; null if none makes sense. */
  draw: (model: Model, dice: Dice) => Input | null
  run: (client: Client, input: Input) => Promise<Answer>
  /** Applies the operation to the model. Throws Rejection. */
  apply: (model: Model, input: Input) => Outcome
  /** Inputs for the first transaction, the first two, …, if the operation has several. */
  steps?: (input: Input) => Input[]
  /** Further states that an interrupted operation may leave behind, given a snapshot. */
  partialStates?: (model: Model, input: Input, snapshot: Snapshot) => Model[]
}

/** Applies the operation to the model and returns the expected response. */
export function outcomeOf(model: Model, { apply }: Operation, input: unknown): Outcome {
  const result = tryInModel(model, () => apply(model, input))
  return 'done' in result ? result.done : { code: result.code }
}

type ReadPayload = (payload: any) => Omit<Answer, 'code'>

/**
 * Returns a function that runs a mutation and returns its error code, or what `read` extracts from the
 * payload.
 */
export const mutation =
  (name: string, selection: string, read: ReadPayload) =>
  async ({ holdall }: Client, input: any): Promise<Answer> => {
    const payload = await attempt(holdall, name, input, selection)
    return payload.code ? { code: payload.code } : { code: null, ...read(payload) }
  }

/** Returns a function that runs a batch mutation and returns the code and the id of each item. */
export const batchMutation = (
  name: string,
  more = '',
  read: (payload: any) => unknown = () => null,
) =>
  mutation(name, `results { entryId error { code } } ${more}`, (payload) => ({
    facts: [payload.results.map(({ error }: any) => error?.code ?? null), read(payload)],
    ids: payload.results.map(({ entryId }: any) => entryId),
  }))

type Batch = { mode: string }

/** An item of a batch that refers to an entry in the trash. */
export type TrashedItem = { entry: { id: string } }

/**
 * Applies a batch to the model, atomically or item by item. `read` computes further facts after the last
 * item.
 */
export function batchOutcome<Item>(
  model: Model,
  { mode }: Batch,
  items: readonly Item[],
  act: (item: Item) => number | null,
  read: (done: boolean[]) => unknown = () => null,
): Outcome {
  const keys: (number | null)[] = []
  const codes: (string | null)[] = []
  const applyItem = (item: Item) => {
    const result = tryInModel(model, () => act(item))
    codes.push('done' in result ? null : result.code)
    keys.push('done' in result ? result.done : null)
    return 'done' in result
  }
  if (mode === 'BEST_EFFORT') items.forEach(applyItem)
  else if (!allOrNothing(model, items, applyItem)) return { code: codes.at(-1) ?? null }
  return { code: null, facts: [codes, read(codes.map((code) => code === null))], keys }
}

function allOrNothing<Item>(
  model: Model,
  items: readonly Item[],
  applyItem: (item: Item) => boolean,
) {
  const before = structuredClone(model)
  if (items.every(applyItem)) return true
  Object.assign(model, before)
  return false
}

/** Sums the counts of the applied items, or returns 0 if none was applied. */
export const sumOfDone = (done: boolean[], counts: readonly number[]) =>
  done.includes(true) ? counts.reduce((all, count) => all + count, 0) : 0

/** Returns all non-empty prefixes of a list. */
const prefixes = <T>(list: readonly T[]): T[][] => list.map((_, i) => list.slice(0, i + 1))

/** Returns the steps of a batch with its items in `field`: one if it is atomic, else one per item. */
export const stepsOf =
  (field: string) =>
  (input: any): any[] =>
    input.mode === 'BEST_EFFORT'
      ? prefixes(input[field] as unknown[]).map((list) => ({ ...input, [field]: list }))
      : [input]
