import type { ColumnType } from '../../database/tables.ts'
import type { Cell, Cells, UserTable } from '../../database/user-tables/user-table.ts'
import { RowRejected } from '../../errors/entries.ts'
import { isStorableText } from '../../names.ts'
import { requireColumn, shownColumns } from './rules.ts'

type Value = {
  /** The expected value in words, for error messages. */
  expected: string
  /** Encodes a value for the database. Returns undefined for an invalid value. */
  encode: (value: unknown) => Cell | undefined
  decode?: (cell: Cell) => unknown
}

const text: Value = {
  expected: 'text of whole characters, without U+0000',
  encode: (value) => (typeof value === 'string' && isStorableText(value) ? value : undefined),
}

const values: Record<ColumnType, Value> = {
  TEXT: text,
  FILE_PATH: text,
  INTEGER: {
    expected: 'a whole number from -(2^53-1) to 2^53-1',
    encode: (value) => (Number.isSafeInteger(value) ? Number(value) : undefined),
  },
  REAL: {
    expected: 'a number',
    encode: (value) => (Number.isFinite(value) ? Number(value) : undefined),
  },
  BOOLEAN: {
    expected: 'true or false',
    encode: (value) => (typeof value === 'boolean' ? Number(value) : undefined),
    decode: (cell) => (cell === 0 || cell === 1 ? cell === 1 : cell),
  },
  TIMESTAMP: {
    expected: 'an RFC 3339 time such as 2025-01-31T09:30:00.000Z',
    encode: (value) => (typeof value === 'string' ? normalizeTime(value) : undefined),
  },
  JSON: {
    expected: 'any JSON value',
    encode: (value) => JSON.stringify(value),
    decode: (cell) => parseJsonCell(cell),
  },
}

const RFC3339 = /^(\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d)(\.\d+)?(Z|[+-]\d\d:\d\d)$/i

/**
 * Normalises an RFC 3339 time to UTC with milliseconds, so that text order is time order. Returns undefined
 * for the year 0, and for dates that do not exist but that Date accepts, such as 30 February.
 */
function normalizeTime(value: string): string | undefined {
  const [, local, fraction = '.', zone] = RFC3339.exec(value) ?? []
  if (!local || !zone) return undefined
  const asUtc = new Date(`${local}Z`)
  const at = new Date(`${local}${fraction.padEnd(4, '0').slice(0, 4)}${zone}`)
  if (Number.isNaN(at.getTime()) || Number.isNaN(asUtc.getTime())) return undefined
  const exists = asUtc.toISOString().startsWith(local.toUpperCase())
  return exists && /^(?!0000)\d{4}-/.test(at.toISOString()) ? at.toISOString() : undefined
}

/** Parses a JSON cell. Returns the cell unchanged if another program wrote invalid JSON. */
function parseJsonCell(cell: Cell): unknown {
  try {
    return JSON.parse(String(cell))
  } catch {
    return cell
  }
}

/**
 * Encodes values for writing or comparing. Throws RowRejected for unknown columns and values of the wrong
 * type.
 */
export const encodeCells = (table: UserTable, given: Record<string, unknown>): Cells =>
  Object.fromEntries(
    Object.entries(given).map(([column, value]) => [column, encodeCell(table, column, value)]),
  )

function encodeCell(table: UserTable, column: string, value: unknown): Cell {
  const { type } = requireColumn(table, column)
  const { expected, encode } = values[type]
  const cell = value === null ? null : encode(value)
  if (cell !== undefined) return cell
  throw new RowRejected({ table: table.name, column, reason: `${type} requires ${expected}` })
}

/**
 * Decodes the cells of a row to JSON values. A cell that does not fit its type is returned unchanged, bytes
 * as base64.
 */
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
