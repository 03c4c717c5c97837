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

/** A sorted list of rows and the queries that read it. */
export type List<R> = {
  /** Name of the order: a cursor of another order is rejected. */
  ordering: string
  /** The sort keys; the last one is unique in the whole list. */
  keys: readonly SortKey[]
  /**
   * Queries that filter and select, without sort or limit: one per index range, such as the folders and the
   * files of a folder, each with an index for `keys`.
   */
  segments: readonly Query<R>[]
  /** Whether all segments are merged in one order; otherwise one follows the other, each in order. */
  merged?: boolean
  /**
   * A filter that SQL cannot express: only rows that match are in the list. Read such a list with
   * filtered-pages.ts.
   */
  postFilter?: ((row: R) => boolean) | undefined
  /** The time budget for `postFilter`, shared within the request. */
  budget?: WorkBudget | undefined
  /** Whether the segment with this index is known to be empty. */
  isEmpty?: ((segment: number) => boolean) | undefined
  /** For lists that are read often: the segments as prepared queries. */
  preparedSegments?: PreparedSegments<R> | undefined
}
/** Segments as prepared queries; the list's own `segments` are only used if these do not apply. */
export type PreparedSegments<R> = {
  db: Db
  /** The number of segments. */
  count: number
  /** Lists with the same name differ only in their arguments. */
  name: string
  args: readonly Argument[]
  /** Builds the list's segments; must not look at its arguments (see `prepared`). */
  segments: (db: Db, ...args: never[]) => readonly Query<R>[]
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
type Run<R> = { index: number; segments: readonly Seek<R>[] }
type Seek<R> = (range: SeekRange) => Promise<R[]>
type SeekRange = {
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
  const count = sql<number>`count(*)`.as('count')
  const counts = await Promise.all(
    segments.map((segment) => segment.clearSelect().select(count).executeTakeFirstOrThrow()),
  )
  return counts.reduce((sum, { count }) => sum + Number(count), 0)
}

function runsOf<R>(list: List<R>): Run<R>[] {
  const { preparedSegments, merged, isEmpty } = list
  const seekUnprepared = (index: number, range: SeekRange) =>
    seek(list.segments[index] as Query<R>, range).execute()
  const seeks = Array.from(
    { length: preparedSegments?.count ?? list.segments.length },
    (_, index) => {
      if (isEmpty?.(index)) return async () => []
      return (range: SeekRange) =>
        (preparedSegments && seekPrepared(preparedSegments, index, range)) ??
        seekUnprepared(index, range)
    },
  )
  if (merged) return [{ index: 0, segments: seeks }]
  return seeks.map((seek, index) => ({ index, segments: [seek] }))
}

/** Reads run after run until the page is full. */
async function collect<R extends object>(runs: Run<R>[], range: SeekRange): Promise<Found<R>[]> {
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
function between<R>(runs: Run<R>[], { from, to }: SeekRange) {
  const start = from ? runs.findIndex(({ index }) => index === from.run) : 0
  const end = to ? runs.findIndex(({ index }) => index === to.run) + 1 : runs.length
  return runs.slice(start, end)
}

async function readRun<R extends object>(
  { index, segments }: Run<R>,
  range: SeekRange,
): Promise<R[]> {
  const { keys, from, to, limit } = range
  const here = (position: Position | null) => (position?.run === index ? position : null)
  const reads = segments.map((seek) => seek({ keys, from: here(from), to: here(to), limit }))
  const [rows = [], ...others] = await Promise.all(reads)
  if (others.length === 0) return rows
  return [rows, ...others]
    .flat()
    .sort((one, other) => compare(keys, one, other))
    .slice(0, limit)
}

function seek<R>(segment: Query<R>, { keys, from, to, limit }: SeekRange): Query<R> {
  return sorted(segment, keys)
    .$if(from !== null, (query) => query.where(afterRow(boundOf(keys, from))))
    .$if(to !== null, (query) => query.where(afterRow(boundOf(reversed(keys), to))))
    .limit(limit)
}

type PreparedSeek = (db: Db, ...args: Argument[]) => Promise<unknown[]>
const preparedSeeks = new Map<string, PreparedSeek>()

/** Returns undefined if a bound is null, which needs different SQL. */
function seekPrepared<R>(
  list: PreparedSegments<R>,
  index: number,
  range: SeekRange,
): Promise<R[]> | undefined {
  const { keys, from, to, limit } = range
  const [after, before] = [from?.values ?? [], to?.values ?? []]
  if ([...after, ...before].includes(null)) return undefined
  const order = keys.map(({ column, direction }) => `${column} ${direction}`)
  const name = [list.name, index, ...order, after.length, before.length].join()
  const run = preparedSeeks.get(name) ?? prepared(seekBuilder(list, index, range))
  preparedSeeks.set(name, run as PreparedSeek)
  return run(list.db, ...list.args, ...after, ...before, limit) as Promise<R[]>
}

/** Returns the builder that `prepared` needs: it builds this seek with placeholders for all values. */
function seekBuilder<R>(
  { args, segments }: PreparedSegments<R>,
  index: number,
  { keys, from, to }: SeekRange,
) {
  const [after, before] = [from?.values.length ?? 0, to?.values.length ?? 0]
  return (db: Db, ...given: Argument[]) => {
    const [own, bounds] = [given.slice(0, args.length), given.slice(args.length) as SortValue[]]
    const limit = bounds.pop() as number
    const at = (position: Position | null, ...range: [number, number]) =>
      position && { ...position, values: bounds.slice(...range) }
    const range = { keys, from: at(from, 0, after), to: at(to, after, after + before), limit }
    return seek(segments(db, ...(own as never[]))[index] as Query<R>, range)
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
