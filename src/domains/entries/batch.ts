import type { ServiceContext, TxContext } from '../../context.ts'
import { DomainError } from '../../errors/domain-error.ts'
import { InvalidInput } from '../../errors/input.ts'
import { withInputPath } from './input-path.ts'
import type { EntryRef, EntryRow } from './reads.ts'
import { inEntryTransaction } from './transaction.ts'

export type BatchMode = 'ALL_OR_NOTHING' | 'BEST_EFFORT'
export type BatchEntry = { entry: EntryRef; expectedRevision?: number | null | undefined }
/** Result of one item: its entry or its error. */
export type Outcome = {
  index: number
  entryId: string | null
  entry: EntryRow | null
  error: DomainError | null
}
export const MAX_BATCH_SIZE = 100
/** The input field that contains the items of a batch. */
const ENTRIES = 'entries'

/**
 * Runs `act` for each item and returns one outcome per item. ALL_OR_NOTHING uses one transaction and throws
 * the error of the first item that fails, with the path of the item in the input. BEST_EFFORT uses one
 * transaction per item and returns domain errors as outcomes. Throws InvalidInput unless there are 1 to 100
 * items.
 */
export async function batch(
  ctx: ServiceContext,
  { entries: items, mode, folder }: Batch,
  act: Act,
): Promise<Outcome[]> {
  if (items.length === 0 || items.length > MAX_BATCH_SIZE) {
    const message = `expected 1 to ${MAX_BATCH_SIZE} entries, got ${items.length}`
    throw new InvalidInput({ path: [ENTRIES], message })
  }
  if (mode === 'BEST_EFFORT') return runIndependently(ctx, { items, folder }, act)
  return inEntryTransaction(ctx, refsOf(items, folder), async (s) => {
    const outcomes: Outcome[] = []
    for (const [index, item] of items.entries())
      outcomes.push(succeeded(index, await withItemPath(index, act(s, item))))
    return outcomes
  })
}

type Batch = {
  entries: readonly BatchEntry[]
  mode: BatchMode
  /** A folder that all items refer to. */
  folder?: EntryRef | null | undefined
}
type Act = (ctx: TxContext, item: BatchEntry) => Promise<EntryRow>

const refsOf = (items: readonly BatchEntry[], folder: EntryRef | null | undefined) => [
  ...items.map(({ entry }) => entry),
  ...(folder ? [folder] : []),
]

/** Input fields shared by all items. The path of an error about one of them is already complete. */
const sharedFields = new Set(['add', 'fallbackFolder', 'folder', 'remove', 'unlinkRows'])

/** Awaits `work` and prefixes the path of its error with the item, such as ["entries", "3"]. */
async function withItemPath<T>(index: number, work: Promise<T>): Promise<T> {
  try {
    return await work
  } catch (error) {
    const [field = ''] = (error instanceof DomainError && error.path) || []
    if (sharedFields.has(field)) throw error
    return withInputPath(ENTRIES, withInputPath(String(index), Promise.reject(error)))
  }
}

async function runIndependently(
  ctx: ServiceContext,
  { items, folder }: { items: readonly BatchEntry[]; folder: EntryRef | null | undefined },
  act: Act,
) {
  const outcomes: Outcome[] = []
  for (const [index, item] of items.entries()) {
    const refs = refsOf([item], folder)
    const acted = inEntryTransaction(ctx, refs, (s) => act(s, item))
    const entry = await acted.catch(domainErrorOrThrow)
    outcomes.push(entry instanceof DomainError ? failed(index, entry) : succeeded(index, entry))
  }
  return outcomes
}

const succeeded = (index: number, entry: EntryRow): Outcome => ({
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

function domainErrorOrThrow(error: unknown): DomainError {
  if (error instanceof DomainError) return error
  throw error
}
