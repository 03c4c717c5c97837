import { type KyselyPlugin, type RawBuilder, type SqlBool, sql, type UnknownRow } from 'kysely'
import { RowRejected } from '../../errors.ts'
import type { ColumnType } from '../tables.ts'
import type { Tx } from '../transaction.ts'
import type { Cell } from '../user-tables/cells.ts'
import type { UserTable } from '../user-tables/tables.ts'

/*
 * What PostgreSQL has its own way of doing with a cell of a user table. Every cell is read as the text that its type makes of it,
 * and takes the same text back; so nothing is lost of what has no type here (bytea, arrays, …) when a row goes and comes.
 */

type Ref = RawBuilder<unknown>

/** The cell as text. */
export const selected = (cell: Ref, type: ColumnType | null): RawBuilder<string | null> =>
  type === 'TIMESTAMP' ? moment(cell) : sql`cast(${cell} as text)`

const shape = sql.lit('YYYY-MM-DD"T"HH24:MI:SS.US"Z"')

/** In UTC, to the microsecond; what has no zone counts as UTC. What four digits of a year can't say stays as it is written. */
const moment = (cell: Ref): RawBuilder<string | null> => sql`case
  when not isfinite(${cell}) or ${cell} < '0001-01-01Z' or ${cell} >= '10000-01-01Z' then cast(${cell} as text)
  when pg_typeof(${cell}) = 'timestamptz'::regtype then to_char(${cell} at time zone 'UTC', ${shape})
  else to_char(${cell}, ${shape}) end`

const cells: Partial<Record<ColumnType, (text: string) => Cell>> = {
  INTEGER: (text) => (Number.isSafeInteger(Number(text)) ? Number(text) : text),
  REAL: realOf,
  BOOLEAN: (text) => (text === 'true' ? 1 : 0),
  TIMESTAMP: (text) => text.replace(/(\.\d{3})000Z$/, '$1Z'),
}

/** A number, unless JavaScript's would have lost digits of a numeric; only floats are written with an exponent, and those fit. */
function realOf(text: string): Cell {
  const number = Number(text)
  const fits = text.includes('e') || digitsOf(String(number)) === digitsOf(text)
  return Number.isFinite(number) && fits ? number : text
}

/** The digits that count: -0.0150e3 has 15. */
function digitsOf(text: string): string {
  const digits = text.replace(/e.*|[-+.]/g, '').replace(/^0+/, '')
  let end = digits.length
  while (digits[end - 1] === '0') end--
  return digits.slice(0, end)
}

/** Makes cells of the texts that were selected. */
export const asCells = ({ columns }: UserTable): KyselyPlugin[] => [
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
    const cell = type && cells[type]
    return [`c${i}`, cell && typeof text === 'string' ? cell(text) : text]
  })
  return { ...row, ...Object.fromEntries(read) }
}

/** Unlike SQLite, PostgreSQL compares nothing before it has made both sides one type, and fails where that can't be. */
export function equals(cell: Ref, type: ColumnType | null, value: Cell): RawBuilder<SqlBool> {
  if (type === 'TEXT') return sql`cast(${cell} as text) = ${value}`
  if (type === 'INTEGER') return sql`${cell} = cast(${value} as bigint)`
  if (type === 'BOOLEAN') return sql`${cell} = cast(${value} as boolean)`
  if (type === 'REAL') return sql`${decimal(cell)} = ${decimal(sql`cast(${value} as float8)`)}`
  return sql`${cell} = ${value}`
}

/** As it is written: 0.1 of four bytes is 0.1 of eight. */
const decimal = (cell: Ref): Ref => sql`cast(cast(${cell} as text) as numeric)`

/** The cell as one that is compared by its bytes, whatever language its column is in. */
export const bytewise = (cell: Ref): Ref => sql`${cell} collate "C"`

/** Said where rows have keys that the table did not give them. */
export const withOwnKeys = sql`overriding system value`

/** Said where a row is not to be, rather than to fail, if its key is another's: the transaction goes on. */
export const unlessKeyIsTaken = ({ keyColumn }: UserTable): Ref =>
  sql`on conflict (${sql.id(keyColumn)}) do nothing`

/** Keys that others chose can be in the way of the table's own numbers; these go on behind them. */
export async function passTakenKeys(tx: Tx, { sqlName, keyColumn }: UserTable): Promise<void> {
  const [table, key] = [sql.id(sqlName), sql.id(keyColumn)]
  await sql`select setval(numbers, greatest(nextval(numbers), (select max(${key}) from ${table})))
    from pg_get_serial_sequence(quote_ident(${sqlName}), ${keyColumn}) as numbers
    where numbers is not null`.execute(tx)
}

/** What is only checked at the commit is checked now, while it can still be told whose row it was. */
export async function checkDeferred(tx: Tx): Promise<void> {
  await sql`set constraints all immediate`.execute(tx)
}

const reasons: Record<string, string> = {
  '23505': 'another row has this value',
  '23502': 'a value is needed',
  '23503': 'a foreign key would not hold',
}

/** What the row's own values can be to blame for: of PostgreSQL's appendix A the classes 22 and 23, and what triggers raise. */
const refusals = /^2[23]...$|^(428C9|44000|54000|P0001)$/

/**
 * What a trigger may raise beside: any code of its own; not what is wrong with the server, the connection or
 * the rights.
 */
const raised = /^(?!08|25|40|42|53|54|55|57|58|XX|F0|HV)[0-9A-Z]{5}$/

export function rejection(table: UserTable, error: unknown): RowRejected | null {
  const { code = '', message, column, detail = '' } = error as Complaint
  if (!refusals.test(code) && !(table.letIn && raised.test(code))) return null
  const named = code === '23505' ? keyIn(detail) : column
  return new RowRejected({
    table: table.name,
    column: named ?? null,
    reason: reasons[code] ?? message,
  })
}
type Complaint = { code?: string; message: string; column?: string; detail?: string }

/** In any language: Key (image)=(a.png) already exists; null for a key of several columns. */
function keyIn(detail: string): string | null {
  const [, quoted, plain] = /\((?:"((?:[^"]|"")+)"|([^",()]+))\)=\(/.exec(detail) ?? []
  return quoted?.replaceAll('""', '"') ?? plain ?? null
}
