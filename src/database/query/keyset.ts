import { type CursorForm, cursorForm, decodeCursor, encodeCursor, type Position } from './cursor.ts'
import { compare, reversed, type SortKey } from './keyset-predicate.ts'
import { countSegment, readSegment, type Segment } from './segments.ts'
import type { WorkBudget } from './work-budget.ts'

export type { SortKey }

/** A sorted list of rows and the queries that read it. */
export type List<R> = {
  /** Name of the order: a cursor of another order is rejected. */
  ordering: string
  /** The sort keys; the last one is unique in the whole list. */
  keys: readonly SortKey[]
  /** One segment per index range, such as the folders and the files of a folder, with an index for `keys`. */
  segments: readonly Segment<R>[]
  /** Whether all segments are merged in one order; otherwise one follows the other, each in order. */
  merged?: boolean
  /**
   * A filter that SQL cannot express: only rows that match are in the list. Read such a list with
   * filtered-pages.ts.
   */
  postFilter?: ((row: R) => boolean) | undefined
  /** The time budget for `postFilter`, shared within the request. */
  budget?: WorkBudget | undefined
}

/** The first or last rows between the cursors `after` and `before`. */
export type PageRequest = ({ first: number; last?: null } | { last: number; first?: null }) & {
  after?: string | null | undefined
  before?: string | null | undefined
}

export type Edge<R> = { node: R; readonly cursor: string }

export type Page<R> = {
  /** The rows in the list's order, also with `last`. Cursors are encoded on access. */
  edges: Edge<R>[]
  /** With `first`, whether more rows follow (up to `before`). With `last`, whether `before` is given. */
  hasNextPage: boolean
  /** With `last`, whether more rows precede (down to `after`). With `first`, whether `after` is given. */
  hasPreviousPage: boolean
  startCursor: string | null
  endCursor: string | null
}

/** Segments that form one order: a merged list is a single run, any other has one run per segment. */
type Run<R> = { index: number; segments: readonly Segment<R>[] }
type PageRange = {
  keys: readonly SortKey[]
  from: Position | null
  to: Position | null
  limit: number
}
type Found<R> = { row: R; run: number }

/**
 * Returns one page of `list`. Each segment is queried once, for at most one row more than the page has, so
 * that the thousandth page costs as much as the first. Throws InvalidCursor if a cursor belongs to another
 * list or order.
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

/** Returns the number of rows of the whole list. Segments must not use GROUP BY or DISTINCT. */
export async function countList<R>({ segments }: List<R>): Promise<number> {
  const counts = await Promise.all(segments.map(countSegment))
  return counts.reduce((sum, count) => sum + count, 0)
}

function runsOf<R>({ segments, merged }: List<R>): Run<R>[] {
  if (merged) return [{ index: 0, segments }]
  return segments.map((segment, index) => ({ index, segments: [segment] }))
}

/** Reads run after run until the page is full. */
async function collect<R extends object>(runs: Run<R>[], range: PageRange): Promise<Found<R>[]> {
  const found: Found<R>[] = []
  for (const run of between(runs, range)) {
    const limit = range.limit - found.length
    if (limit === 0) break
    const rows = await readRun(run, { ...range, limit })
    found.push(...rows.map((row) => ({ row, run: run.index })))
  }
  return found
}

/** Returns the runs from the one of the start position to the one of the end position. */
function between<R>(runs: Run<R>[], { from, to }: PageRange) {
  const start = from ? runs.findIndex(({ index }) => index === from.run) : 0
  const end = to ? runs.findIndex(({ index }) => index === to.run) + 1 : runs.length
  return runs.slice(start, end)
}

async function readRun<R extends object>(
  { index, segments }: Run<R>,
  range: PageRange,
): Promise<R[]> {
  const { keys, from, to, limit } = range
  const here = (position: Position | null) => (position?.run === index ? position.values : null)
  const within = { keys, after: here(from), before: here(to), limit }
  const [rows = [], ...others] = await Promise.all(segments.map((one) => readSegment(one, within)))
  if (others.length === 0) return rows
  return [rows, ...others]
    .flat()
    .sort((one, other) => compare(keys, one, other))
    .slice(0, limit)
}

function pageOf<R extends object>(form: CursorForm, found: Found<R>[]) {
  const edges = found.map(({ row, run }) => ({
    node: row,
    get cursor() {
      return encodeCursor(form, run, row)
    },
  }))
  return { edges, startCursor: edges[0]?.cursor ?? null, endCursor: edges.at(-1)?.cursor ?? null }
}
