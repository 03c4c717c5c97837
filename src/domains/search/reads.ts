import { setImmediate as breathe } from 'node:timers/promises'
import { type CursorForm, cursorForm, cursorOf, positionOf } from '../../database/cursor.ts'
import type { Db } from '../../database/database.ts'
import { type Found, findDocuments } from '../../database/search-sqlite.ts'
import type { EntryRow } from '../entries/reads.ts'
import { countEntries, entriesFound, type FoundEntry } from './found.ts'
import { RANKS } from './match.ts'
import { type Search, type Step, stepsOf, totalOf } from './plan.ts'

/** An entry that was found: a score of 1 is best. The cursor goes on behind it. */
export type Hit = { node: EntryRow; score: number; cursor: string }
type Hits = { edges: Hit[]; hasNextPage: boolean; endCursor: string | null }
/** A document of a rank. */
type Place = { rank: number; number: number }
type Batch = { step: Step; documents: Found[] }

/** What one request looks at beyond what the index tells, and how far it counts. */
export const searchLimits = { lookedAt: 20_000, counted: 10_000 }

/**
 * A page of what a query finds: rank after rank, in each the newest first. Where the limit ends the search before the page is
 * full, it says that there is more, and its cursor goes on behind what was looked at. Throws InvalidCursor.
 */
export async function searchPage(
  db: Db,
  search: Search,
  { first, after }: { first: number; after?: string | null | undefined },
): Promise<Hits> {
  const form = formOf(search)
  const from = after == null ? null : placeOf(form, after)
  const way = batches(db, search, { steps: await stepsOf(db, search), from, size: first + 1 })
  const { found, last, more } = await look(db, search, way, first + 1)
  const isFull = found.length > first
  const edges = found.slice(0, first).map(({ entry, ...place }) => ({
    node: entry,
    score: (RANKS - place.rank) / RANKS,
    cursor: cursorAt(form, place),
  }))
  const end = more && !isFull && last ? cursorAt(form, last) : edges.at(-1)?.cursor
  return { edges, hasNextPage: isFull || more, endCursor: end ?? null }
}

/** How many entries a query finds; those beyond the limits are not counted. */
export async function countFound(db: Db, search: Search): Promise<number> {
  const steps = await totalOf(db, search)
  let [count, seen] = [0, 0]
  for await (const batch of batches(db, search, { steps, from: null, size: 1000 })) {
    count += await countEntries(db, search, batch)
    seen += batch.documents.length
    if (count >= searchLimits.counted || seen >= searchLimits.lookedAt) break
  }
  return Math.min(count, searchLimits.counted)
}

const keys = [{ column: 'number', as: 'number', direction: 'desc', numeric: true }] as const

const formOf = ({ workspaceId, query }: Search) =>
  cursorForm(`search:${workspaceId}:${JSON.stringify(query)}`, keys, RANKS)

const cursorAt = (form: CursorForm, { rank, number }: Place) => cursorOf(form, rank, { number })

function placeOf(form: CursorForm, cursor: string): Place {
  const { run, values } = positionOf(form, cursor)
  return { rank: run, number: Number(values[0]) }
}

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

/** Looks at what is on the way until enough is found, or the limit reached; `more` where the way goes on. */
async function look(db: Db, search: Search, way: AsyncGenerator<Batch>, enough: number) {
  const found: FoundEntry[] = []
  let [last, seen]: [Place | null, number] = [null, 0]
  for await (const batch of way) {
    found.push(...(await entriesFound(db, search, batch)))
    const { step, documents } = batch
    seen += documents.length
    last = { rank: step.rank ?? 0, number: documents.at(-1)?.number ?? 0 }
    if (found.length >= enough || seen >= searchLimits.lookedAt) return { found, last, more: true }
  }
  return { found, last, more: false }
}
