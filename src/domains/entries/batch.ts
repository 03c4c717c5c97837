import { BatchAborted, DomainError, InvalidInput } from '../../errors.ts'
import { inTransaction, type Scope, type TxScope } from '../../scope.ts'
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
const MOST = 100

/** Does one thing to many entries: in one transaction (ALL_OR_NOTHING), or each in its own (BEST_EFFORT). */
export async function batch<Item>(
  scope: Scope,
  items: readonly Item[],
  mode: BatchMode,
  act: (s: TxScope, item: Item) => Promise<EntryRow>,
  field = 'entries',
): Promise<Outcome[]> {
  if (items.length === 0 || items.length > MOST) {
    throw new InvalidInput({ path: [field], message: `1 to ${MOST} entries` })
  }
  return mode === 'ALL_OR_NOTHING' ? together(scope, items, act) : apart(scope, items, act)
}

type Act<Item> = (s: TxScope, item: Item) => Promise<EntryRow>

async function together<Item>(scope: Scope, items: readonly Item[], act: Act<Item>) {
  let index = 0
  try {
    return await inTransaction(scope, async (s) => {
      const outcomes: Outcome[] = []
      // From the first one, also when the story is told again.
      for (index = 0; index < items.length; index++) {
        outcomes.push(done(index, await act(s, items[index] as Item)))
      }
      return outcomes
    })
  } catch (error) {
    if (!(error instanceof DomainError)) throw error
    const failedIndex = index
    return items.map((_, i) => failed(i, i === failedIndex ? error : new BatchAborted(failedIndex)))
  }
}

async function apart<Item>(scope: Scope, items: readonly Item[], act: Act<Item>) {
  const outcomes: Outcome[] = []
  for (const [index, item] of items.entries()) {
    const entry = await inTransaction(scope, (s) => act(s, item)).catch(domainErrors)
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
