import { setImmediate as yieldToEventLoop } from 'node:timers/promises'
import type { Db } from '../../database/database.ts'
import { findDocuments } from '../../database/search/search-index.ts'
import { type Batch, countBatch, type FoundEntry, loadMatches } from './hydrate.ts'
import { anyRankStep, type Plan, planSearch, rankSteps, type Search, type Step } from './plan.ts'

/** Position in the results, which are sorted by ascending rank, then by descending document number. */
export type Position = { rank: number; number: number }
/** Matches, the position of the last evaluated document, and whether more documents follow it. */
export type ScanResult = { found: FoundEntry[]; last: Position | null; more: boolean }

/**
 * Limits of a request: documents evaluated against the filter, and matches counted. Up to `smallCount`
 * documents, ranking them one by one is fastest.
 */
export const searchLimits = { evaluatedCount: 20_000, maxCount: 10_000, smallCount: 50 }

/**
 * The matches to find: those after `from` and before `to`, until `enough` are found. Only the last `kept` of
 * them are returned.
 */
export type Wanted = { from: Position | null; to: Position | null; enough: number; kept: number }

/** Returns the wanted matches of a search, fewer if a limit ends it. */
export async function findMatches(db: Db, search: Search, wanted: Wanted): Promise<ScanResult> {
  const plan = await planSearch(db, search)
  if (plan === null) return { found: [], last: null, more: false }
  const [best, ...others] = rankSteps(plan)
  const first = await scan(db, search, best ? [best] : [], wanted)
  if (first.more) return first
  const all = await findAllIfFew(db, search, plan)
  if (all) return { found: within(all, wanted), last: null, more: false }
  const enough = wanted.enough - first.found.length
  const rest = await scan(db, search, others, { ...wanted, enough })
  return { ...rest, found: [...first.found, ...rest.found].slice(-wanted.kept) }
}

async function scan(db: Db, search: Search, steps: Step[], wanted: Wanted): Promise<ScanResult> {
  const { isSpent } = search.budget
  let found: FoundEntry[] = []
  let [last, evaluated]: [Position | null, number] = [null, 0]
  for await (const batch of batches(db, search, { steps, ...wanted })) {
    const { step, documents } = batch
    found = within([...found, ...(await loadMatches(db, search, batch))], wanted)
    evaluated += documents.length
    last = { rank: step.rank ?? 0, number: documents.at(-1)?.number ?? 0 }
    if (wanted.to && !isAfter(wanted.to, last)) break
    if (found.length >= wanted.enough || evaluated >= searchLimits.evaluatedCount || isSpent())
      return { found, last, more: true }
  }
  return { found, last, more: false }
}

/** Returns the last matches between the ends of what is wanted. */
const within = (found: FoundEntry[], { from, to, kept }: Wanted) =>
  found
    .filter((position) => isAfter(position, from) && (to === null || isAfter(to, position)))
    .slice(-kept)

/** Returns the number of matches of a search, counted up to the limits. */
export async function countMatches(db: Db, search: Search): Promise<number> {
  const plan = await planSearch(db, search)
  if (plan === null) return 0
  const { isSpent } = search.budget
  let [count, evaluated] = [0, 0]
  for await (const batch of batches(db, search, {
    steps: [anyRankStep(plan)],
    from: null,
    enough: MAX_BATCH_SIZE,
  })) {
    count += await countBatch(db, search, batch)
    evaluated += batch.documents.length
    const isLimitReached =
      count >= searchLimits.maxCount || evaluated >= searchLimits.evaluatedCount
    if (isLimitReached || isSpent()) break
  }
  return Math.min(count, searchLimits.maxCount)
}

/** Returns all matches if they are few, which saves one query for each rank. Returns null otherwise. */
async function findAllIfFew(db: Db, search: Search, plan: Plan): Promise<FoundEntry[] | null> {
  const step = anyRankStep(plan)
  const limit = searchLimits.smallCount + 1
  const documents = await findDocuments(db, search.workspaceId, step.expression, { limit })
  if (documents.length === limit) return null
  const found = await loadMatches(db, search, { step, documents })
  return found.sort((a, b) => (isAfter(a, b) ? 1 : -1))
}

const isAfter = ({ rank, number }: Position, from: Position | null) =>
  from === null || (rank === from.rank ? number < from.number : rank > from.rank)

/** Maximum number of documents of one query. */
const MAX_BATCH_SIZE = 1000

/** Yields the documents of the steps after `from`, in batches of increasing size. */
async function* batches(
  db: Db,
  { workspaceId }: Search,
  { steps, from, enough }: { steps: Step[]; from: Position | null; enough: number },
): AsyncGenerator<Batch> {
  for (const step of steps) {
    const rank = step.rank ?? 0
    if (from && rank < from.rank) continue
    let below = rank === from?.rank ? from.number : Number.MAX_SAFE_INTEGER
    for (
      let limit = Math.min(enough, MAX_BATCH_SIZE);
      ;
      limit = Math.min(limit * 4, MAX_BATCH_SIZE)
    ) {
      const documents = await findDocuments(db, workspaceId, step.expression, { below, limit })
      yield { step, documents }
      if (documents.length < limit) break
      below = documents.at(-1)?.number ?? 0
      await yieldToEventLoop()
    }
  }
}
