import type { Db } from '../../database/database.ts'
import {
  type CursorForm,
  cursorForm,
  decodeCursor,
  encodeCursor,
} from '../../database/query/cursor.ts'
import type { EntryRow } from '../entries/reads.ts'
import { RANKS } from './match.ts'
import type { Search } from './plan.ts'
import { lookFor, type Place } from './scan.ts'

/** An entry that was found: a score of 1 is best. The cursor goes on behind it. */
export type Hit = { node: EntryRow; score: number; cursor: string }
type Hits = { edges: Hit[]; hasNextPage: boolean; endCursor: string | null }

/**
 * A page of what a query finds: rank after rank, in each the newest first. Where the limits end the search before the page is
 * full, it says that there is more, and its cursor goes on behind what was looked at. Throws InvalidCursor.
 */
export async function searchPage(
  db: Db,
  search: Search,
  { first, after }: { first: number; after?: string | null | undefined },
): Promise<Hits> {
  const form = formOf(search)
  const from = after == null ? null : placeOf(form, after)
  const { found, last, more } = await lookFor(db, search, from, first + 1)
  const isFull = found.length > first
  const edges = found.slice(0, first).map(({ entry, ...place }) => ({
    node: entry,
    score: (RANKS - place.rank) / RANKS,
    cursor: cursorAt(form, place),
  }))
  const end = more && !isFull && last ? cursorAt(form, last) : edges.at(-1)?.cursor
  return { edges, hasNextPage: isFull || more, endCursor: end ?? null }
}

const keys = [{ column: 'number', as: 'number', direction: 'desc', numeric: true }] as const

const formOf = ({ workspaceId, query }: Search) =>
  cursorForm(`search:${workspaceId}:${JSON.stringify(query)}`, keys, RANKS)

const cursorAt = (form: CursorForm, { rank, number }: Place) => encodeCursor(form, rank, { number })

function placeOf(form: CursorForm, cursor: string): Place {
  const { run, values } = decodeCursor(form, cursor)
  return { rank: run, number: Number(values[0]) }
}
