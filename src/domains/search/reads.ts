import type { Db } from '../../database/database.ts'
import {
  type CursorForm,
  cursorForm,
  decodeCursor,
  encodeCursor,
} from '../../database/query/cursor.ts'
import type { Page, PageRequest } from '../../database/query/keyset.ts'
import type { EntryRow } from '../entries/reads.ts'
import type { FoundEntry } from './hydrate.ts'
import { RANKS } from './match.ts'
import type { Search } from './plan.ts'
import { findMatches, type Position } from './scan.ts'

/** A matching entry with its score (1 is best) and its cursor. */
export type Hit = { node: EntryRow; score: number; cursor: string }
type Hits = Omit<Page<EntryRow>, 'edges'> & { edges: Hit[] }

/**
 * Returns a page of the matches of a search, best rank first and newest first within a rank. If the limits
 * end the search early, hasNextPage is true and endCursor is the last evaluated position. `last` reads all
 * matches from the start or from `after`, under the same limits. Throws InvalidCursor.
 */
export async function searchPage(db: Db, search: Search, request: PageRequest): Promise<Hits> {
  const form = formOf(search)
  const [after, before] = [request.after, request.before].map((cursor) =>
    cursor == null ? null : positionOf(form, cursor),
  )
  const wanted = { from: after ?? null, to: before ?? null, ...countsOf(request) }
  const { found, last, more } = await findMatches(db, search, wanted)
  const isForward = request.last == null
  const size = request.last ?? request.first
  const isFull = found.length > size
  const edges = (isForward ? found.slice(0, size) : found.slice(-size)).map((match) =>
    hitOf(form, match),
  )
  const isCut = more && last !== null && !(isForward && isFull)
  return {
    edges,
    hasNextPage: isForward ? isFull || more : before !== null || more,
    hasPreviousPage: isForward ? after !== null : isFull,
    startCursor: edges[0]?.cursor ?? null,
    endCursor: isCut ? cursorAt(form, last) : (edges.at(-1)?.cursor ?? null),
  }
}

/** One match more than the page shows whether there are others. */
const countsOf = ({ first, last }: PageRequest) => ({
  enough: first == null ? Number.POSITIVE_INFINITY : first + 1,
  kept: last == null ? Number.POSITIVE_INFINITY : last + 1,
})

const hitOf = (form: CursorForm, { entry, ...position }: FoundEntry): Hit => ({
  node: entry,
  score: (RANKS - position.rank) / RANKS,
  cursor: cursorAt(form, position),
})

const keys = [{ column: 'number', as: 'number', direction: 'desc', numeric: true }] as const

const formOf = ({ workspaceId, query }: Search) =>
  cursorForm(`search:${workspaceId}:${JSON.stringify(query)}`, keys, RANKS)

const cursorAt = (form: CursorForm, { rank, number }: Position) =>
  encodeCursor(form, rank, { number })

function positionOf(form: CursorForm, cursor: string): Position {
  const { run, values } = decodeCursor(form, cursor)
  return { rank: run, number: Number(values[0]) }
}
