import { sql } from 'kysely'
import type { Db } from '../database.ts'
import {
  afterRow,
  type Query,
  reversed,
  type SortKey,
  type SortValue,
  sorted,
} from './keyset-predicate.ts'
import { type Argument, prepared } from './prepared.ts'

/**
 * One index range of a list, such as the files of a folder: a query that filters and selects, without sort or
 * limit, or null if the range is known to be empty.
 */
export type Segment<R> = Query<R> | PreparedSegment<R> | null

/** A segment that is read often: its SQL is built once for each order, see `prepared`. */
export type PreparedSegment<R> = {
  db: Db
  /** Segments with the same name differ only in their arguments. */
  name: string
  args: readonly Argument[]
  /** Builds the query; must not look at its arguments. */
  build: (db: Db, ...args: never[]) => Query<R>
}

/** The rows to read: in the order of `keys`, between the rows with the sort values `after` and `before`. */
export type SegmentRange = {
  keys: readonly SortKey[]
  after: readonly SortValue[] | null
  before: readonly SortValue[] | null
  limit: number
}

/** Returns the rows of a segment in a range. */
export async function readSegment<R>(segment: Segment<R>, range: SegmentRange): Promise<R[]> {
  if (segment === null) return []
  return isPrepared(segment) ? readPrepared(segment, range) : seek(segment, range).execute()
}

/** Returns the number of rows of a segment, whose query must not use GROUP BY or DISTINCT. */
export async function countSegment<R>(segment: Segment<R>): Promise<number> {
  if (segment === null) return 0
  const query = isPrepared(segment) ? segment.build(segment.db, ...as(segment.args)) : segment
  const rows = query.clearSelect().select(sql<number>`count(*)`.as('count'))
  return Number((await rows.executeTakeFirstOrThrow()).count)
}

const isPrepared = <R>(segment: Query<R> | PreparedSegment<R>): segment is PreparedSegment<R> =>
  'build' in segment

/** `build` declares the arguments of its own segment, which the types here do not know. */
const as = (args: readonly unknown[]) => args as never[]

function seek<R>(query: Query<R>, { keys, after, before, limit }: SegmentRange): Query<R> {
  return sorted(query, keys)
    .$if(after !== null, (query) => query.where(afterRow(boundOf(keys, after))))
    .$if(before !== null, (query) => query.where(afterRow(boundOf(reversed(keys), before))))
    .limit(limit)
}

const boundOf = (keys: readonly SortKey[], values: readonly SortValue[] | null) =>
  keys.map((key, index) => ({ key, value: values?.[index] ?? null }))

type Values = readonly SortValue[]
type PreparedSeek = (
  db: Db,
  limit: number,
  after: Values,
  before: Values,
  ...args: Argument[]
) => Promise<unknown[]>
const preparedSeeks = new Map<string, PreparedSeek>()

function readPrepared<R>(segment: PreparedSegment<R>, range: SegmentRange): Promise<R[]> {
  const { db, name, args } = segment
  const { keys, after, before, limit } = range
  const order = keys.map(({ column, direction }) => `${column} ${direction}`)
  const form = [name, ...order, nullsOf(after), nullsOf(before)].join()
  const run = preparedSeeks.get(form) ?? prepareSeek(segment, range)
  preparedSeeks.set(form, run)
  return run(db, limit, after ?? [], before ?? [], ...args) as Promise<R[]>
}

/** Returns which values are null: a null needs other SQL than a value. */
const nullsOf = (values: Values | null) => values?.map((value) => value === null).join('+') ?? ''

function prepareSeek<R>({ build }: PreparedSegment<R>, range: SegmentRange): PreparedSeek {
  const { keys, after, before } = range
  const withNulls = (values: Values | null, placeholders: Values) =>
    values?.map((value, index) => (value === null ? null : (placeholders[index] ?? null))) ?? null
  return prepared((db, limit: number, from: Values, to: Values, ...args: Argument[]) => {
    const bounds = { after: withNulls(after, from), before: withNulls(before, to) }
    return seek(build(db, ...as(args)), { keys, ...bounds, limit })
  })
}
