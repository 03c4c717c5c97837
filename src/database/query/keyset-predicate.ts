import { type RawBuilder, type SelectQueryBuilder, type SqlBool, sql } from 'kysely'

/**
 * One column of a sort order. Integers compare as numbers, text as UTF-8 bytes (SQLite BINARY, PostgreSQL
 * "C").
 */
export type SortKey = {
  /** The column as Kysely refers to it: 'entries.nameKey'. */
  column: string
  /** The property of the selected row with the column's value. */
  as: string
  direction: 'asc' | 'desc'
  /** Whether the column has integers; otherwise it has text. */
  numeric?: boolean
  /**
   * Whether the column has nulls, which sort after all values: last in asc, first in desc. The query needs no
   * sort, but may read an index from its start. `apart`: no segment has both nulls and values, and the list
   * is not merged, so that each segment seeks by the index.
   */
  nullable?: boolean | 'apart'
}
export type SortValue = string | number | null
/** The position of a row: its value for each key. */
type Bound = { key: SortKey; value: SortValue }[]

/** A query on any tables. */
export type Query<R> = SelectQueryBuilder<never, never, R>

/** Returns the keys with the opposite directions. */
export const reversed = (keys: readonly SortKey[]): SortKey[] =>
  keys.map((key) => ({ ...key, direction: key.direction === 'asc' ? 'desc' : 'asc' }))

/** Returns the value of `row` for `key`. */
export const sortValue = (row: object, { as }: SortKey) => (row as Record<string, SortValue>)[as]

/**
 * Sorts the query by `keys`. NULLS FIRST/LAST is only used if there are nulls: it prevents the use of some
 * indexes.
 */
export function sorted<R>(query: Query<R>, keys: readonly SortKey[]): Query<R> {
  return keys.reduce(
    (sorting, { column, direction, nullable }) =>
      sorting.orderBy(sql.ref(column), (by) => {
        if (direction === 'asc') return nullable === true ? by.asc().nullsLast() : by.asc()
        return nullable === true ? by.desc().nullsFirst() : by.desc()
      }),
    query,
  )
}

/**
 * Matches the rows after `bound`: a single row comparison if an index supports it, otherwise column by
 * column.
 */
export function afterRow(bound: Bound): RawBuilder<SqlBool> {
  const directions = new Set(bound.map(({ key }) => key.direction))
  const plain = directions.size === 1 && bound.every(isCompared)
  return plain ? rowComparison(bound) : columnComparison(bound)
}

/** Whether a row comparison can compare the value: nulls never match there. */
const isCompared = ({ key, value }: Bound[number]) =>
  !key.nullable || (key.nullable === 'apart' && value !== null)

function rowComparison(bound: Bound) {
  const columns = sql.join(bound.map(({ key }) => sql.ref(key.column)))
  const values = sql.join(bound.map(literal))
  return sql<SqlBool>`(${columns}) ${sign(bound[0])} (${values})`
}

/**
 * Matches rows whose first column is greater, or equal while the rest is greater. An index can seek by the
 * leading bound.
 */
function columnComparison(bound: Bound): RawBuilder<SqlBool> {
  const [first, ...others] = bound
  if (!first) return sql`1 = 0`
  if (others.length === 0) return past(first)
  if (first.key.nullable === 'apart' && first.value === null)
    return sql`(${same(first)} and ${columnComparison(others)})`
  const step = sql<SqlBool>`(${past(first)} or (${same(first)} and ${columnComparison(others)}))`
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
  return key.nullable === true && key.direction === 'asc'
    ? sql`(${past} or ${column} is null)`
    : past
}

const same = (item: Bound[number]): RawBuilder<SqlBool> =>
  item.value === null
    ? sql`${sql.ref(item.key.column)} is null`
    : sql`${sql.ref(item.key.column)} = ${literal(item)}`

const sign = (item: Bound[number] | undefined) =>
  sql.raw(item?.key.direction === 'desc' ? '<' : '>')

/**
 * Returns the bound value as a parameter. Without the cast, PostgreSQL gives a number the column's type and
 * fails if it is too large.
 */
const literal = ({ key, value }: Bound[number]) =>
  key.numeric ? sql`cast(${value} as bigint)` : sql`${value}`

/** Compares two rows in the order of the database. */
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
