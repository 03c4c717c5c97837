import { type KyselyPlugin, type RawBuilder, type SqlBool, sql, type UnknownRow } from 'kysely'
import { RowRejected } from '../../errors/entries.ts'
import type { ColumnType } from '../tables.ts'
import type { Tx } from '../transaction.ts'
import type { Cell, UserTable } from '../user-tables/user-table.ts'

/*
 * Cells of user tables on PostgreSQL. Every cell is read as the text representation of its type and written
 * from the same text, so that values of unsupported types (bytea, arrays, …) survive when a row is deleted
 * and restored.
 */

type Ref = RawBuilder<unknown>

/** Returns the SQL expression for the cell as text. */
export const selected = (cell: Ref, type: ColumnType | null): RawBuilder<string | null> =>
  type === 'TIMESTAMP' ? moment(cell) : sql`cast(${cell} as text)`

const TIMESTAMP_FORMAT = sql.lit('YYYY-MM-DD"T"HH24:MI:SS.US"Z"')

/**
 * Returns the SQL expression for a timestamp as text, in UTC with microseconds; one without time zone counts
 * as UTC. Years outside 1 to 9999 stay unformatted.
 */
const moment = (cell: Ref): RawBuilder<string | null> => sql`case
  when not isfinite(${cell}) or ${cell} < '0001-01-01Z' or ${cell} >= '10000-01-01Z' then cast(${cell} as text)
  when pg_typeof(${cell}) = 'timestamptz'::regtype then to_char(${cell} at time zone 'UTC', ${TIMESTAMP_FORMAT})
  else to_char(${cell}, ${TIMESTAMP_FORMAT}) end`

const parsers: Partial<Record<ColumnType, (text: string) => Cell>> = {
  INTEGER: (text) => (Number.isSafeInteger(Number(text)) ? Number(text) : text),
  REAL: parseReal,
  BOOLEAN: (text) => (text === 'true' ? 1 : 0),
  TIMESTAMP: (text) => text.replace(/(\.\d{3})000Z$/, '$1Z'),
}

/**
 * Returns the number, or the text if a numeric has more digits than a number can hold. Only floats, which
 * always fit, have an exponent.
 */
function parseReal(text: string): Cell {
  const number = Number(text)
  const fits = text.includes('e') || digitsOf(String(number)) === digitsOf(text)
  return Number.isFinite(number) && fits ? number : text
}

/** Returns the significant digits: 15 for -0.0150e3. */
function digitsOf(text: string): string {
  const digits = text.replace(/e.*|[-+.]/g, '').replace(/^0+/, '')
  let end = digits.length
  while (digits[end - 1] === '0') end--
  return digits.slice(0, end)
}

/** Returns Kysely plugins that convert the selected texts to cells. */
export const cellPlugins = ({ columns }: UserTable): KyselyPlugin[] => [
  {
    transformQuery: ({ node }) => node,
    transformResult: async ({ result }) => ({
      ...result,
      rows: result.rows.map((row) => cellsOf(columns, row)),
    }),
  },
]

function cellsOf(columns: UserTable['columns'], row: UnknownRow): UnknownRow {
  const read = columns.map(({ type }, i) => {
    const text = row[`c${i}`]
    const parse = type && parsers[type]
    return [`c${i}`, parse && typeof text === 'string' ? parse(text) : text]
  })
  return { ...row, ...Object.fromEntries(read) }
}

/** Returns a predicate for cells equal to `value`. PostgreSQL requires both sides to have the same type. */
export function equals(cell: Ref, type: ColumnType | null, value: Cell): RawBuilder<SqlBool> {
  if (type === 'TEXT') return sql`cast(${cell} as text) = ${value}`
  if (type === 'INTEGER') return sql`${cell} = cast(${value} as bigint)`
  if (type === 'BOOLEAN') return sql`${cell} = cast(${value} as boolean)`
  if (type === 'REAL') return sql`${decimal(cell)} = ${decimal(sql`cast(${value} as float8)`)}`
  return sql`${cell} = ${value}`
}

/** Compares by the decimal text, so that 0.1 as float4 equals 0.1 as float8. */
const decimal = (cell: Ref): Ref => sql`cast(cast(${cell} as text) as numeric)`

/** Returns the cell with a collation that compares by bytes, whatever the collation of the column is. */
export const binaryCollated = (cell: Ref): Ref => sql`${cell} collate "C"`

/** The INSERT clause that permits explicit keys. */
export const explicitKeysClause = sql`overriding system value`

/** Returns the INSERT clause that skips a row whose key exists, instead of aborting the transaction. */
export const ignoreKeyConflict = ({ keyColumn }: UserTable): Ref =>
  sql`on conflict (${sql.id(keyColumn)}) do nothing`

/** Advances the table's sequence past keys that were inserted explicitly. */
export async function advanceSequence(tx: Tx, { sqlName, keyColumn }: UserTable): Promise<void> {
  const [table, key] = [sql.id(sqlName), sql.id(keyColumn)]
  await sql`select setval(numbers, greatest(nextval(numbers), (select max(${key}) from ${table})))
    from pg_get_serial_sequence(quote_ident(${sqlName}), ${keyColumn}) as numbers
    where numbers is not null`.execute(tx)
}

/** Checks deferred constraints now instead of at COMMIT, while the offending row is known. */
export async function checkDeferred(tx: Tx): Promise<void> {
  await sql`set constraints all immediate`.execute(tx)
}

const reasons: Record<string, string> = {
  '23505': 'another row has this value',
  '23502': 'a value is required',
  '23503': 'the row violates a foreign key',
}

/** SQLSTATEs that the row's values can cause: classes 22 and 23, and those that triggers raise. */
const ROW_ERRORS = /^2[23]...$|^(428C9|44000|54000|P0001)$/

/**
 * Other codes that a trigger of an operator's table may raise, except those for errors of the server, the
 * connection or permissions.
 */
const TRIGGER_ERRORS = /^(?!08|25|40|42|53|54|55|57|58|XX|F0|HV)[0-9A-Z]{5}$/

/** Translates a database error that the row's values caused; null for any other error. */
export function toRowRejected(table: UserTable, error: unknown): RowRejected | null {
  const { code = '', message, column, detail = '' } = error as PostgresError
  if (!ROW_ERRORS.test(code) && !(table.letIn && TRIGGER_ERRORS.test(code))) return null
  const named = code === '23505' ? keyIn(detail) : column
  return new RowRejected({
    table: table.name,
    column: named ?? null,
    reason: reasons[code] ?? message,
  })
}
type PostgresError = { code?: string; message: string; column?: string; detail?: string }

/**
 * Parses the column from a detail message of any language, such as `Key (image)=(a.png) …`; null if it has
 * several columns.
 */
function keyIn(detail: string): string | null {
  const [, quoted, plain] = /\((?:"((?:[^"]|"")+)"|([^",()]+))\)=\(/.exec(detail) ?? []
  return quoted?.replaceAll('""', '"') ?? plain ?? null
}
