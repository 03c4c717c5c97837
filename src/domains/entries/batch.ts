import { inTransaction, type ServiceContext, type TxContext } from '../../context.ts'
import { DomainError, InvalidInput } from '../../errors.ts'
import { withInputPath } from './input-path.ts'
import type { EntryRef, EntryRow } from './reads.ts'

export type BatchMode = 'ALL_OR_NOTHING' | 'BEST_EFFORT'
export type BatchEntry = { entry: EntryRef; expectedRevision?: number | null | undefined }
/** What became of one item. */
export type Outcome = {
  index: number
  entryId: string | null
  entry: EntryRow | null
  error: DomainError | null
}
export const MAX_BATCH_SIZE = 100

/**
 * Does one thing to many entries. ALL_OR_NOTHING: in one transaction; throws the error of the item that failed, with its place in the
 * input. BEST_EFFORT: each in a transaction of its own, with one outcome for each. Throws InvalidInput unless there are 1 to 100.
 */
export async function batch<Item>(
  ctx: ServiceContext,
  items: readonly Item[],
  mode: BatchMode,
  act: (s: TxContext, item: Item) => Promise<EntryRow>,
  field = 'entries',
): Promise<Outcome[]> {
  if (items.length === 0 || items.length > MAX_BATCH_SIZE) {
    throw new InvalidInput({ path: [field], message: `1 to ${MAX_BATCH_SIZE} entries` })
  }
  if (mode === 'BEST_EFFORT') return runIndependently(ctx, items, act)
  return inTransaction(ctx, async (s) => {
    const outcomes: Outcome[] = []
    for (const [index, item] of items.entries())
      outcomes.push(done(index, await atItem(field, index, act(s, item))))
    return outcomes
  })
}

type Act<Item> = (s: TxContext, item: Item) => Promise<EntryRow>

/** Fields of the input that all items share: an error about one of them already has its place. */
const sharedFields = new Set(['add', 'destination', 'fallbackDestination', 'remove', 'unlinkRows'])

/** Awaits what is done to one item. Its error says which item it is: ["entries", "3"]. */
async function atItem<T>(field: string, index: number, work: Promise<T>): Promise<T> {
  try {
    return await work
  } catch (error) {
    const path = (error instanceof DomainError && error.path) || []
    if (sharedFields.has(path[0] ?? '')) throw error
    return withInputPath(field, withInputPath(String(index), Promise.reject(error)))
  }
}

async function runIndependently<Item>(ctx: ServiceContext, items: readonly Item[], act: Act<Item>) {
  const outcomes: Outcome[] = []
  for (const [index, item] of items.entries()) {
    const entry = await inTransaction(ctx, (s) => act(s, item)).catch(domainErrors)
    outcomes.push(entry instanceof DomainError ? failed(index, entry) : done(index, entry))
  }
  return outcomes
}

const done = (index: number, entry: EntryRow): Outcome => ({
  index,
  entryId: entry.id,
  entry,
  error: null,
})
const failed = (index: number, error: DomainError): Outcome => ({
  index,
  entryId: null,
  entry: null,
  error,
})

function domainErrors(error: unknown): DomainError {
  if (error instanceof DomainError) return error
  throw error
}
