import { type RawBuilder, type SelectQueryBuilder, type SqlBool, sql } from 'kysely'

/** One column of an order. Integers compare as numbers, text as UTF-8 bytes (SQLite's BINARY, PostgreSQL's "C"). */
export type SortKey = {
  /** As Kysely refers to it: 'entries.nameKey'. */
  column: string
  /** The property of the selected row that holds it. */
  as: string
  direction: 'asc' | 'desc'
  /** The column holds integers; without it, text. */
  numeric?: boolean
  /**
   * Null is greater than any value: last in asc, first in desc. Needs no sort, but may read an index from its start; a
   * long list with nulls is better cut into two segments.
   */
  nullable?: boolean
}
export type SortValue = string | number | null
/** Where a row stands: its value under each key. */
type Bound = { key: SortKey; value: SortValue }[]

/** A query over any tables. */
export type Query<R> = SelectQueryBuilder<never, never, R>

export const reversed = (keys: readonly SortKey[]): SortKey[] =>
  keys.map((key) => ({ ...key, direction: key.direction === 'asc' ? 'desc' : 'asc' }))

/** The value that `row` has under `key`. */
export const sortValue = (row: object, { as }: SortKey) => (row as Record<string, SortValue>)[as]

/** The query, sorted by `keys`. NULLS is only said where there are nulls: it costs some planners the index. */
export function sorted<R>(query: Query<R>, keys: readonly SortKey[]): Query<R> {
  return keys.reduce(
    (sorting, { column, direction, nullable }) =>
      sorting.orderBy(sql.ref(column), (by) => {
        if (direction === 'asc') return nullable ? by.asc().nullsLast() : by.asc()
        return nullable ? by.desc().nullsFirst() : by.desc()
      }),
    query,
  )
}

/** True of the rows that come after `bound`. One row comparison where the index can answer it, else spelt out. */
export function afterRow(bound: Bound): RawBuilder<SqlBool> {
  const directions = new Set(bound.map(({ key }) => key.direction))
  const plain = directions.size === 1 && !bound.some(({ key }) => key.nullable)
  return plain ? beyondRow(bound) : beyondEach(bound)
}

function beyondRow(bound: Bound) {
  const columns = sql.join(bound.map(({ key }) => sql.ref(key.column)))
  const values = sql.join(bound.map(literal))
  return sql<SqlBool>`(${columns}) ${sign(bound[0])} (${values})`
}

/** The first beyond, or the first the same and the rest beyond. The leading limit is what an index can seek by. */
function beyondEach(bound: Bound): RawBuilder<SqlBool> {
  const [first, ...others] = bound
  if (!first) return sql`1 = 0`
  if (others.length === 0) return past(first)
  const step = sql<SqlBool>`(${past(first)} or (${same(first)} and ${beyondEach(others)}))`
  if (reachesNull(first)) return step
  return sql`(${sql.ref(first.key.column)} ${sign(first)}= ${literal(first)} and ${step})`
}

const reachesNull = ({ key, value }: Bound[number]) =>
  key.nullable === true && (key.direction === 'asc' || value === null)

function past(item: Bound[number]): RawBuilder<SqlBool> {
  const { key, value } = item
  const column = sql.ref(key.column)
  if (value === null) return key.direction === 'asc' ? sql`1 = 0` : sql`${column} is not null`
  const past = sql<SqlBool>`${column} ${sign(item)} ${literal(item)}`
  return key.nullable && key.direction === 'asc' ? sql`(${past} or ${column} is null)` : past
}

const same = (item: Bound[number]): RawBuilder<SqlBool> =>
  item.value === null
    ? sql`${sql.ref(item.key.column)} is null`
    : sql`${sql.ref(item.key.column)} = ${literal(item)}`

const sign = (item: Bound[number] | undefined) =>
  sql.raw(item?.key.direction === 'desc' ? '<' : '>')

/** The cast is for PostgreSQL, which takes a bare number for the column's type and fails where it is too large. */
const literal = ({ key, value }: Bound[number]) =>
  key.numeric ? sql`cast(${value} as bigint)` : sql`${value}`

/** Orders rows here as the database orders them there. */
export function compare(keys: readonly SortKey[], one: object, other: object): number {
  for (const key of keys) {
    const order = compareValues(sortValue(one, key) ?? null, sortValue(other, key) ?? null)
    if (order !== 0) return key.direction === 'asc' ? order : -order
  }
  return 0
}

function compareValues(one: SortValue, other: SortValue) {
  if (one === other) return 0
  if (one === null) return 1
  if (other === null) return -1
  if (typeof one === 'number' && typeof other === 'number') return one - other
  return Buffer.compare(Buffer.from(String(one)), Buffer.from(String(other)))
}
