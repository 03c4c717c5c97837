import { setImmediate as breathe } from 'node:timers/promises'
import type { Db } from '../../database/database.ts'
import { findDocuments } from '../../database/search/search-index.ts'
import { type Batch, countEntries, entriesFound, type FoundEntry } from './hydrate.ts'
import { type Plan, planOf, type Search, type Step, stepsOf, totalOf } from './plan.ts'

/** Where a document stands: rank by rank, in each the highest number first. */
export type Place = { rank: number; number: number }
/** What was found on the way, the last document looked at, and whether the way goes on behind it. */
export type Look = { found: FoundEntry[]; last: Place | null; more: boolean }

/** What one request looks at beyond what the index tells, how far it counts, and how many are soonest ranked one by one. */
export const searchLimits = { lookedAt: 20_000, counted: 10_000, few: 50 }

/** Looks at what a query finds behind `from` until enough is found, or the limit reached. */
export async function lookFor(
  db: Db,
  search: Search,
  from: Place | null,
  enough: number,
): Promise<Look> {
  const plan = await planOf(db, search)
  if (plan === null) return { found: [], last: null, more: false }
  const [best, ...others] = stepsOf(plan)
  const first = await walk(db, search, { steps: best ? [best] : [], from, enough })
  if (first.more) return first
  const few = await fewFound(db, search, plan)
  if (few) return { found: few.filter((place) => isBehind(place, from)), last: null, more: false }
  const still = enough - first.found.length
  const rest = await walk(db, search, { steps: others, from, enough: still })
  return { ...rest, found: [...first.found, ...rest.found] }
}

type Way = { steps: Step[]; from: Place | null; enough: number }

async function walk(db: Db, search: Search, { steps, from, enough }: Way): Promise<Look> {
  const { isSpent } = search.budget
  const found: FoundEntry[] = []
  let [last, seen]: [Place | null, number] = [null, 0]
  for await (const batch of batches(db, search, { steps, from, size: enough })) {
    found.push(...(await entriesFound(db, search, batch)))
    const { step, documents } = batch
    seen += documents.length
    last = { rank: step.rank ?? 0, number: documents.at(-1)?.number ?? 0 }
    if (found.length >= enough || seen >= searchLimits.lookedAt || isSpent())
      return { found, last, more: true }
  }
  return { found, last, more: false }
}

/** How many entries a query finds; those beyond the limits are not counted. */
export async function countFound(db: Db, search: Search): Promise<number> {
  const plan = await planOf(db, search)
  if (plan === null) return 0
  const { isSpent } = search.budget
  let [count, seen] = [0, 0]
  for await (const batch of batches(db, search, {
    steps: [totalOf(plan)],
    from: null,
    size: 1000,
  })) {
    count += await countEntries(db, search, batch)
    seen += batch.documents.length
    if (count >= searchLimits.counted || seen >= searchLimits.lookedAt || isSpent()) break
  }
  return Math.min(count, searchLimits.counted)
}

/** All that is found, where that is little: many ranks would be looked through for it. Null where it is more. */
async function fewFound(db: Db, search: Search, plan: Plan): Promise<FoundEntry[] | null> {
  const step = totalOf(plan)
  const limit = searchLimits.few + 1
  const documents = await findDocuments(db, search.workspaceId, step.expression, { limit })
  if (documents.length === limit) return null
  const found = await entriesFound(db, search, { step, documents })
  return found.sort((a, b) => (isBehind(a, b) ? 1 : -1))
}

const isBehind = (place: Place, from: Place | null) =>
  from === null || (place.rank === from.rank ? place.number < from.number : place.rank > from.rank)

/** The documents of the steps behind `from`, in larger and larger batches. */
async function* batches(
  db: Db,
  { workspaceId }: Search,
  { steps, from, size }: { steps: Step[]; from: Place | null; size: number },
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
      await breathe()
    }
  }
}
