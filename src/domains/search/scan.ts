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

/** Returns the matches of a search after `from`, until `enough` are found or a limit is reached. */
export async function findMatches(
  db: Db,
  search: Search,
  from: Position | null,
  enough: number,
): Promise<ScanResult> {
  const plan = await planSearch(db, search)
  if (plan === null) return { found: [], last: null, more: false }
  const [best, ...others] = rankSteps(plan)
  const first = await scan(db, search, { steps: best ? [best] : [], from, enough })
  if (first.more) return first
  const all = await findAllIfFew(db, search, plan)
  if (all)
    return { found: all.filter((position) => isAfter(position, from)), last: null, more: false }
  const remaining = enough - first.found.length
  const rest = await scan(db, search, { steps: others, from, enough: remaining })
  return { ...rest, found: [...first.found, ...rest.found] }
}

type ScanRange = { steps: Step[]; from: Position | null; enough: number }

async function scan(
  db: Db,
  search: Search,
  { steps, from, enough }: ScanRange,
): Promise<ScanResult> {
  const { isSpent } = search.budget
  const found: FoundEntry[] = []
  let [last, evaluated]: [Position | null, number] = [null, 0]
  for await (const batch of batches(db, search, { steps, from, size: enough })) {
    found.push(...(await loadMatches(db, search, batch)))
    const { step, documents } = batch
    evaluated += documents.length
    last = { rank: step.rank ?? 0, number: documents.at(-1)?.number ?? 0 }
    if (found.length >= enough || evaluated >= searchLimits.evaluatedCount || isSpent())
      return { found, last, more: true }
  }
  return { found, last, more: false }
}

/** Returns the number of matches of a search, counted up to the limits. */
export async function countMatches(db: Db, search: Search): Promise<number> {
  const plan = await planSearch(db, search)
  if (plan === null) return 0
  const { isSpent } = search.budget
  let [count, evaluated] = [0, 0]
  for await (const batch of batches(db, search, {
    steps: [anyRankStep(plan)],
    from: null,
    size: 1000,
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

/** Yields the documents of the steps after `from`, in batches of increasing size. */
async function* batches(
  db: Db,
  { workspaceId }: Search,
  { steps, from, size }: { steps: Step[]; from: Position | null; size: number },
): AsyncGenerator<Batch> {
  for (const step of steps) {
    const rank = step.rank ?? 0
    if (from && rank < from.rank) continue
    let below = rank === from?.rank ? from.number : Number.MAX_SAFE_INTEGER
    for (let limit = size; ; limit = Math.min(limit * 4, 1000)) {
      const documents = await findDocuments(db, workspaceId, step.expression, { below, limit })
      yield { step, documents }
      if (documents.length < limit) break
      below = documents.at(-1)?.number ?? 0
      await yieldToEventLoop()
    }
  }
}
