import { sql } from 'kysely'
import type { Db } from '../database.ts'
import { type CursorForm, cursorForm, decodeCursor, encodeCursor, type Position } from './cursor.ts'
import {
  afterRow,
  compare,
  type Query,
  reversed,
  type SortKey,
  type SortValue,
  sorted,
} from './keyset-predicate.ts'
import { type Argument, prepared } from './prepared.ts'
import type { WorkBudget } from './work-budget.ts'

export type { SortKey }

/** Rows in an order, and how to reach them. */
export type List<R> = {
  /** Names the order: a cursor is refused under another. */
  ordering: string
  /** The last one is unique in the whole list. */
  keys: readonly SortKey[]
  /**
   * Queries that filter and select, and neither sort nor limit: one or more index ranges, a folder's folders and its
   * files, each with an index for `keys`.
   */
  segments: readonly Query<R>[]
  /** False: one segment after the other, each in order. True: all of them in one order. */
  merged?: boolean
  /** What no database can tell: rows that it refuses are not in the list. Such a list is read by sieve.ts. */
  keep?: ((row: R) => boolean) | undefined
  /** The time for that, shared with all else in the request. */
  budget?: WorkBudget | undefined
  /** Whether it is known of a segment, by its index, that there is nothing in it. */
  isEmpty?: ((segment: number) => boolean) | undefined
  /** For a list that is asked for over and over: its segments in words that are kept. */
  known?: PreparedSegments<R> | undefined
}
/** The list's own `segments` are only asked for where these will not do. */
export type PreparedSegments<R> = {
  db: Db
  /** How many segments there are. */
  count: number
  /** Lists of one name differ by their arguments alone. */
  name: string
  args: readonly Argument[]
  /** The same as the list's own; of its arguments it knows what `prepared` says. */
  segments: (db: Db, ...args: never[]) => readonly Query<R>[]
}

/** The first so many rows after `after` and before `before`, or the last so many. */
export type PageRequest = ({ first: number; last?: null } | { last: number; first?: null }) & {
  after?: string | null | undefined
  before?: string | null | undefined
}

export type Edge<R> = { node: R; readonly cursor: string }

export type Page<R> = {
  /** In the list's order, whichever way they were read. A cursor is made when it is asked for. */
  edges: Edge<R>[]
  /** With `first`, whether more rows follow (up to `before`). With `last`, whether `before` was given: its row follows. */
  hasNextPage: boolean
  /** With `last`, whether more rows precede (down to `after`). With `first`, whether `after` was given: its row precedes. */
  hasPreviousPage: boolean
  startCursor: string | null
  endCursor: string | null
}

/** Segments that are one order together: a merged list is one run, any other has a run for each segment. */
type Run<R> = { index: number; segments: readonly Seek<R>[] }
type Seek<R> = (walk: Walk) => Promise<R[]>
type Walk = { keys: readonly SortKey[]; from: Position | null; to: Position | null; limit: number }
type Found<R> = { row: R; run: number }

/**
 * One page of `list`. Each segment is sought once, for at most one row more than the page holds, so that the thousandth
 * page costs what the first does. Throws InvalidCursor for what is no cursor of this list in this order.
 */
export async function readPage<R extends object>(
  list: List<R>,
  span: PageRequest,
): Promise<Page<R>> {
  const runs = runsOf(list)
  const form = cursorForm(list.ordering, list.keys, runs.length)
  const after = span.after == null ? null : decodeCursor(form, span.after)
  const before = span.before == null ? null : decodeCursor(form, span.before)
  const forward = span.last == null
  const size = span.last ?? span.first
  const limit = size + 1
  const found = forward
    ? await collect(runs, { keys: list.keys, from: after, to: before, limit })
    : await collect(runs.reverse(), { keys: reversed(list.keys), from: before, to: after, limit })
  const more = found.length > size
  const rows = found.slice(0, size)
  return {
    ...pageOf(form, forward ? rows : rows.reverse()),
    hasNextPage: forward ? more : before !== null,
    hasPreviousPage: forward ? after !== null : more,
  }
}

/** How many rows the whole list has. Not for segments that group or are distinct. */
export async function countList<R>({ segments }: List<R>): Promise<number> {
  const count = sql<number>`count(*)`.as('count')
  const counts = await Promise.all(
    segments.map((segment) => segment.clearSelect().select(count).executeTakeFirstOrThrow()),
  )
  return counts.reduce((sum, { count }) => sum + Number(count), 0)
}

function runsOf<R>(list: List<R>): Run<R>[] {
  const { known, merged, isEmpty } = list
  const anew = (index: number, walk: Walk) => seek(list.segments[index] as Query<R>, walk).execute()
  const seeks = Array.from({ length: known?.count ?? list.segments.length }, (_, index) => {
    if (isEmpty?.(index)) return async () => []
    return (walk: Walk) => (known && seekKnown(known, index, walk)) ?? anew(index, walk)
  })
  if (merged) return [{ index: 0, segments: seeks }]
  return seeks.map((seek, index) => ({ index, segments: [seek] }))
}

/** Run after run until the page is full. */
async function collect<R extends object>(runs: Run<R>[], walk: Walk): Promise<Found<R>[]> {
  const found: Found<R>[] = []
  for (const run of between(runs, walk)) {
    const limit = walk.limit - found.length
    if (limit === 0) break
    const rows = await readRun(run, { ...walk, limit })
    found.push(...rows.map((row) => ({ row, run: run.index })))
  }
  return found
}

/** The runs from the one that the walk starts in to the one that it ends in. */
function between<R>(runs: Run<R>[], { from, to }: Walk) {
  const start = from ? runs.findIndex(({ index }) => index === from.run) : 0
  const end = to ? runs.findIndex(({ index }) => index === to.run) + 1 : runs.length
  return runs.slice(start, end)
}

async function readRun<R extends object>({ index, segments }: Run<R>, walk: Walk): Promise<R[]> {
  const { keys, from, to, limit } = walk
  const here = (position: Position | null) => (position?.run === index ? position : null)
  const reads = segments.map((seek) => seek({ keys, from: here(from), to: here(to), limit }))
  const [rows = [], ...others] = await Promise.all(reads)
  if (others.length === 0) return rows
  return [rows, ...others]
    .flat()
    .sort((one, other) => compare(keys, one, other))
    .slice(0, limit)
}

function seek<R>(segment: Query<R>, { keys, from, to, limit }: Walk): Query<R> {
  return sorted(segment, keys)
    .$if(from !== null, (query) => query.where(afterRow(boundOf(keys, from))))
    .$if(to !== null, (query) => query.where(afterRow(boundOf(reversed(keys), to))))
    .limit(limit)
}

type Known = (db: Db, ...args: Argument[]) => Promise<unknown[]>
const asked = new Map<string, Known>()

/** Undefined beside a null, next to which other words are needed. */
function seekKnown<R>(
  list: PreparedSegments<R>,
  index: number,
  walk: Walk,
): Promise<R[]> | undefined {
  const { keys, from, to, limit } = walk
  const [after, before] = [from?.values ?? [], to?.values ?? []]
  if ([...after, ...before].includes(null)) return undefined
  const order = keys.map(({ column, direction }) => `${column} ${direction}`)
  const name = [list.name, index, ...order, after.length, before.length].join()
  const ask = asked.get(name) ?? prepared(wordsFor(list, index, walk))
  asked.set(name, ask as Known)
  return ask(list.db, ...list.args, ...after, ...before, limit) as Promise<R[]>
}

/** As `prepared` wants it: the same walk over whatever stands in the place of its values. */
function wordsFor<R>(
  { args, segments }: PreparedSegments<R>,
  index: number,
  { keys, from, to }: Walk,
) {
  const [after, before] = [from?.values.length ?? 0, to?.values.length ?? 0]
  return (db: Db, ...given: Argument[]) => {
    const [own, bounds] = [given.slice(0, args.length), given.slice(args.length) as SortValue[]]
    const limit = bounds.pop() as number
    const at = (position: Position | null, ...range: [number, number]) =>
      position && { ...position, values: bounds.slice(...range) }
    const walk = { keys, from: at(from, 0, after), to: at(to, after, after + before), limit }
    return seek(segments(db, ...(own as never[]))[index] as Query<R>, walk)
  }
}

const boundOf = (keys: readonly SortKey[], position: Position | null) =>
  keys.map((key, index) => ({ key, value: position?.values[index] ?? null }))

function pageOf<R extends object>(form: CursorForm, found: Found<R>[]) {
  const edges = found.map(({ row, run }) => ({
    node: row,
    get cursor() {
      return encodeCursor(form, run, row)
    },
  }))
  return { edges, startCursor: edges[0]?.cursor ?? null, endCursor: edges.at(-1)?.cursor ?? null }
}
