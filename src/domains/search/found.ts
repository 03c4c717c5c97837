import type { Db } from '../../database/database.ts'
import type { Found } from '../../database/search-sqlite.ts'
import { filtered, kindsAsked } from '../entries/filters.ts'
import { keepOf, livingAmong, placed } from '../entries/lists.ts'
import type { EntryRow } from '../entries/reads.ts'
import { tagsOfEntries } from '../tags/reads.ts'
import { rankOf, textsOf } from './match.ts'
import type { Search, Step } from './plan.ts'

/** An entry by its document's number. */
export type FoundEntry = { entry: EntryRow; rank: number; number: number }
type Row = EntryRow & { parentPath: string | null }

/** The living entries of documents that a filter lets through, in the order of the documents; of doubtful ones those that are right. */
export async function entriesFound(
  db: Db,
  search: Search,
  { step, documents }: { step: Step; documents: readonly Found[] },
): Promise<FoundEntry[]> {
  if (documents.length === 0) return []
  const ids = documents.map(({ id }) => id)
  const rows = await rowsOf(db, search, ids)
  const right = step.doubtful ? await rightOnes(db, search, step, rows) : rows
  const byId = new Map(right.map((row) => [row.id, row]))
  return documents.flatMap(({ id, number }) => {
    const entry = byId.get(id)
    return entry ? [{ entry, rank: step.rank ?? 0, number }] : []
  })
}

/** How many there are of them. */
export async function countEntries(
  db: Db,
  search: Search,
  { step, documents }: { step: Step; documents: readonly Found[] },
): Promise<number> {
  if (step.doubtful || keepOf(search.filter))
    return (await entriesFound(db, search, { step, documents })).length
  const ids = documents.map(({ id }) => id)
  const { count } = await those(db, search, ids)
    .clearSelect()
    .select((eb) => eb.fn.countAll<number>().as('count'))
    .executeTakeFirstOrThrow()
  return count
}

async function rowsOf(db: Db, search: Search, ids: string[]): Promise<Row[]> {
  const rows = await placed(those(db, search, ids)).execute()
  return rows.filter(keepOf(search.filter) ?? (() => true))
}

const those = (db: Db, { workspaceId, filter }: Search, ids: string[]) =>
  filtered(livingAmong(db, workspaceId, ids).where('e.kind', 'in', kindsAsked(filter)), filter)

/** Those that have the words of the query, and the rank of the step. */
async function rightOnes(db: Db, { query }: Search, { rank }: Step, rows: Row[]): Promise<Row[]> {
  if (rows.length === 0) return []
  const tags = await tagsOfEntries(
    db,
    rows.map(({ id }) => id),
  )
  return rows.filter((row, i) => {
    const names = (tags[i] ?? []).map(({ name }) => name)
    const itsRank = rankOf(query, textsOf(row, { tags: names, folderPath: row.parentPath }))
    return itsRank !== null && (rank === null || itsRank === rank)
  })
}
