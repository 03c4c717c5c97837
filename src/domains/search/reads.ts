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
import { findMatches, type Position } from './scan.ts'

/** A matching entry with its score (1 is best) and its cursor. */
export type Hit = { node: EntryRow; score: number; cursor: string }
type Hits = { edges: Hit[]; hasNextPage: boolean; endCursor: string | null }

/**
 * Returns a page of the matches of a search, best rank first and newest first within a rank. If the limits
 * end the search before the page is full, hasNextPage is true and endCursor is the last evaluated position.
 * Throws InvalidCursor.
 */
export async function searchPage(
  db: Db,
  search: Search,
  { first, after }: { first: number; after?: string | null | undefined },
): Promise<Hits> {
  const form = formOf(search)
  const from = after == null ? null : positionOf(form, after)
  const { found, last, more } = await findMatches(db, search, from, first + 1)
  const isFull = found.length > first
  const edges = found.slice(0, first).map(({ entry, ...position }) => ({
    node: entry,
    score: (RANKS - position.rank) / RANKS,
    cursor: cursorAt(form, position),
  }))
  const end = more && !isFull && last ? cursorAt(form, last) : edges.at(-1)?.cursor
  return { edges, hasNextPage: isFull || more, endCursor: end ?? null }
}

const keys = [{ column: 'number', as: 'number', direction: 'desc', numeric: true }] as const

const formOf = ({ workspaceId, query }: Search) =>
  cursorForm(`search:${workspaceId}:${JSON.stringify(query)}`, keys, RANKS)

const cursorAt = (form: CursorForm, { rank, number }: Position) =>
  encodeCursor(form, rank, { number })

function positionOf(form: CursorForm, cursor: string): Position {
  const { run, values } = decodeCursor(form, cursor)
  return { rank: run, number: Number(values[0]) }
}
