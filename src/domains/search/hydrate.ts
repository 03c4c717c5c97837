import type { Db } from '../../database/database.ts'
import type { Found } from '../../database/search/search-index.ts'
import { entryKinds, filtered } from '../entries/filters.ts'
import { liveByIds, patternPredicate, withParentPath } from '../entries/lists.ts'
import type { EntryRow } from '../entries/reads.ts'
import { tagsOfEntries } from '../tags/reads.ts'
import { rankOf, textsOf } from './match.ts'
import type { Search, Step } from './plan.ts'
import { wordsOf } from './rules.ts'

/** Documents that are like a step says. */
export type Batch = { step: Step; documents: readonly Found[] }
/** An entry by its document's number. */
export type FoundEntry = { entry: EntryRow; rank: number; number: number }
type Row = EntryRow & { parentPath: string | null }

/** The living entries of documents that a filter lets through, in the order of the documents; of doubtful ones those that are right. */
export async function entriesFound(
  db: Db,
  search: Search,
  { step, documents }: Batch,
): Promise<FoundEntry[]> {
  if (documents.length === 0) return []
  const rows = await rowsOf(db, search, idsOf(documents))
  const isSure = step.rank !== null && !step.doubtful
  const ranks = isSure ? rows.map(() => step.rank) : await ranksOf(db, search, rows)
  const byId = new Map(rows.map((entry, i) => [entry.id, { entry, rank: ranks[i] ?? null }]))
  return documents.flatMap(({ id, number }) => {
    const { entry, rank = null } = byId.get(id) ?? {}
    const isRight = rank !== null && (step.rank === null || step.rank === rank)
    return entry && isRight ? [{ entry, rank, number }] : []
  })
}

/** How many there are of them. */
export async function countEntries(db: Db, search: Search, batch: Batch): Promise<number> {
  if (batch.step.doubtful || patternPredicate(search.filter))
    return (await entriesFound(db, search, batch)).length
  const { count } = await those(db, search, idsOf(batch.documents))
    .clearSelect()
    .select((eb) => eb.fn.countAll<number>().as('count'))
    .executeTakeFirstOrThrow()
  return count
}

const idsOf = (documents: readonly Found[]) => documents.map(({ id }) => id)

async function rowsOf(db: Db, search: Search, ids: string[]): Promise<Row[]> {
  const rows = await withParentPath(those(db, search, ids)).execute()
  return rows.filter(patternPredicate(search.filter) ?? (() => true))
}

const those = (db: Db, { workspaceId, filter }: Search, ids: string[]) =>
  filtered(liveByIds(db, workspaceId, ids).where('e.kind', 'in', entryKinds(filter)), filter)

async function ranksOf(db: Db, { query }: Search, rows: Row[]): Promise<(number | null)[]> {
  if (rows.length === 0) return []
  const ids = rows.map(({ id }) => id)
  const tags = await tagsOfEntries(db, ids)
  const cut = remembered(wordsOf)
  return rows.map((row, i) => {
    const names = (tags[i] ?? []).map(({ name }) => name)
    return rankOf(query, textsOf(row, { tags: names, folderPath: row.parentPath }), cut)
  })
}

/** Tags and folders are those of many. */
function remembered<T>(read: (text: string) => T) {
  const known = new Map<string, T>()
  return (text: string): T => {
    const before = known.get(text)
    if (before !== undefined) return before
    const now = read(text)
    known.set(text, now)
    return now
  }
}
