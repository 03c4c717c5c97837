import type { ColumnType } from '../../database/tables.ts'
import type { Cell, Cells } from '../../database/user-tables/cells.ts'
import type { UserTable } from '../../database/user-tables/tables.ts'
import { RowRejected } from '../../errors.ts'
import { isStorableText } from '../../names.ts'
import { requireColumn, shownColumns } from './rules.ts'

type Value = {
  /** Completes "it takes …". */
  right: string
  /** Undefined for what does not fit. */
  encode: (value: unknown) => Cell | undefined
  decode?: (cell: Cell) => unknown
}

const text: Value = {
  right: 'text',
  encode: (value) => (typeof value === 'string' && isStorableText(value) ? value : undefined),
}

const values: Record<ColumnType, Value> = {
  TEXT: text,
  FILE_PATH: text,
  INTEGER: {
    right: 'a whole number from -(2^53-1) to 2^53-1',
    encode: (value) => (Number.isSafeInteger(value) ? Number(value) : undefined),
  },
  REAL: {
    right: 'a number',
    encode: (value) => (Number.isFinite(value) ? Number(value) : undefined),
  },
  BOOLEAN: {
    right: 'true or false',
    encode: (value) => (typeof value === 'boolean' ? Number(value) : undefined),
    decode: (cell) => (cell === 0 || cell === 1 ? cell === 1 : cell),
  },
  TIMESTAMP: {
    right: 'a moment, as 2025-01-31T09:30:00.000Z',
    encode: (value) => (typeof value === 'string' ? momentOf(value) : undefined),
  },
  JSON: {
    right: 'any JSON',
    encode: (value) => JSON.stringify(value),
    decode: (cell) => parsed(cell),
  },
}

const RFC3339 = /^(\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d)(\.\d+)?(Z|[+-]\d\d:\d\d)$/i

/** In UTC with milliseconds, so that text sorts as time does. Date takes 30 February for 2 March; here it is none, like the year 0. */
function momentOf(value: string): string | undefined {
  const [, local, fraction = '.', zone] = RFC3339.exec(value) ?? []
  if (!local || !zone) return undefined
  const asUtc = new Date(`${local}Z`)
  const at = new Date(`${local}${fraction.padEnd(4, '0').slice(0, 4)}${zone}`)
  if (Number.isNaN(at.getTime()) || Number.isNaN(asUtc.getTime())) return undefined
  const exists = asUtc.toISOString().startsWith(local.toUpperCase())
  return exists && /^(?!0000)\d{4}-/.test(at.toISOString()) ? at.toISOString() : undefined
}

/** Another program may have put there what is no JSON. */
function parsed(cell: Cell): unknown {
  try {
    return JSON.parse(String(cell))
  } catch {
    return cell
  }
}

/** What is to be written or compared, column by column; RowRejected for an unknown column and for what does not fit. */
export const encodeCells = (table: UserTable, given: Record<string, unknown>): Cells =>
  Object.fromEntries(
    Object.entries(given).map(([column, value]) => [column, encodeCell(table, column, value)]),
  )

function encodeCell(table: UserTable, column: string, value: unknown): Cell {
  const { type } = requireColumn(table, column)
  const { right, encode } = values[type]
  const cell = value === null ? null : encode(value)
  if (cell !== undefined) return cell
  throw new RowRejected({ table: table.name, column, reason: `${type} takes ${right}` })
}

/** The values of a row as JSON has them. What does not fit its column's type is given as it is, bytes as base64. */
export const decodeCells = (table: UserTable, cells: Cells): Record<string, unknown> =>
  Object.fromEntries(
    shownColumns(table).map(({ name, type }) => [name, decodeCell(type, cells[name] ?? null)]),
  )

function decodeCell(type: ColumnType, cell: Cell): unknown {
  if (cell === null) return null
  if (Buffer.isBuffer(cell)) return cell.toString('base64')
  const { decode } = values[type]
  return decode ? decode(cell) : cell
}
