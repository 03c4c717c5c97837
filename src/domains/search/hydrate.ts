import type { Db } from '../../database/database.ts'
import type { Found } from '../../database/search/search-index.ts'
import { applyFilter, entryKinds } from '../entries/lists/filters.ts'
import { liveByIds, patternPredicate, withParentPath } from '../entries/lists/lists.ts'
import type { EntryRow } from '../entries/reads.ts'
import { tagsOfEntries } from '../tags/reads.ts'
import { rankOf, textsOf } from './match.ts'
import type { Search, Step } from './plan.ts'
import { wordsOf } from './rules.ts'

/** Documents that match the expression of `step`. */
export type Batch = { step: Step; documents: readonly Found[] }
/** A matching entry with its rank and the `number` of its document. */
export type FoundEntry = { entry: EntryRow; rank: number; number: number }
type Row = EntryRow & { parentPath: string | null }

/**
 * Returns the live entries of the documents that match the filter, in the order of the documents. If the step
 * is doubtful or has no rank, ranks the entries one by one; omits those that do not match or have a different
 * rank.
 */
export async function loadMatches(
  db: Db,
  search: Search,
  { step, documents }: Batch,
): Promise<FoundEntry[]> {
  if (documents.length === 0) return []
  const rows = await rowsOf(db, search, idsOf(documents))
  const isExact = step.rank !== null && !step.doubtful
  const ranks = isExact ? rows.map(() => step.rank) : await ranksOf(db, search, rows)
  const byId = new Map(rows.map((entry, i) => [entry.id, { entry, rank: ranks[i] ?? null }]))
  return documents.flatMap(({ id, number }) => {
    const { entry, rank = null } = byId.get(id) ?? {}
    const isMatch = rank !== null && (step.rank === null || step.rank === rank)
    return entry && isMatch ? [{ entry, rank, number }] : []
  })
}

/** Returns the number of entries that loadMatches would return. */
export async function countBatch(db: Db, search: Search, batch: Batch): Promise<number> {
  if (batch.step.doubtful || patternPredicate(search.filter))
    return (await loadMatches(db, search, batch)).length
  const { count } = await matchingRows(db, search, idsOf(batch.documents))
    .clearSelect()
    .select((eb) => eb.fn.countAll<number>().as('count'))
    .executeTakeFirstOrThrow()
  return count
}

const idsOf = (documents: readonly Found[]) => documents.map(({ id }) => id)

async function rowsOf(db: Db, search: Search, ids: string[]): Promise<Row[]> {
  const rows = await withParentPath(matchingRows(db, search, ids)).execute()
  return rows.filter(patternPredicate(search.filter) ?? (() => true))
}

const matchingRows = (db: Db, { workspaceId, filter }: Search, ids: string[]) =>
  applyFilter(liveByIds(db, workspaceId, ids).where('e.kind', 'in', entryKinds(filter)), filter)

async function ranksOf(db: Db, { query }: Search, rows: Row[]): Promise<(number | null)[]> {
  if (rows.length === 0) return []
  const ids = rows.map(({ id }) => id)
  const tags = await tagsOfEntries(db, ids)
  const splitWords = memoize(wordsOf)
  return rows.map((row, i) => {
    const names = (tags[i] ?? []).map(({ name }) => name)
    return rankOf(query, textsOf(row, { tags: names, folderPath: row.parentPath }), splitWords)
  })
}

/** Caches the results, because many entries share their tags and folders. */
function memoize<T>(compute: (text: string) => T) {
  const results = new Map<string, T>()
  return (text: string): T => {
    const cached = results.get(text)
    if (cached !== undefined) return cached
    const result = compute(text)
    results.set(text, result)
    return result
  }
}
