import { createHash } from 'node:crypto'
import { InvalidCursor } from '../../errors.ts'
import { isStorableText } from '../../names.ts'
import { type SortKey, type SortValue, sortValue } from './keyset-predicate.ts'

/** What a cursor must fit: one order of one list. */
export type CursorForm = { tag: string; keys: readonly SortKey[]; runs: number }
/** Behind which row, by its sort values, and in which of the list's runs. */
export type Position = { run: number; values: SortValue[] }

const longest = 8192

/** The form of cursors under an ordering: another name, other keys or another number of runs make other cursors. */
export function cursorForm(ordering: string, keys: readonly SortKey[], runs: number): CursorForm {
  const order = keys.map(({ column, direction }) => `${column} ${direction}`)
  const hash = createHash('sha256').update(JSON.stringify([ordering, runs, ...order]))
  return { tag: hash.digest('base64url').slice(0, 8), keys, runs }
}

/** The cursor of `row`. A value that does not fit its key is the fault of the list, not of a client. */
export function encodeCursor({ tag, keys }: CursorForm, run: number, row: object): string {
  const values = keys.map((key) => {
    const value: unknown = sortValue(row, key)
    if (!fits(key, value)) throw new TypeError(misfit(key, value))
    return value
  })
  return encode([tag, run, ...values])
}

const misfit = ({ column, as, ...key }: SortKey, value: unknown) =>
  `${column}: the row's ${as} is a ${typeof value} (${String(value)}), its sort key says ${JSON.stringify(key)}`

/** The position a cursor stands for, or InvalidCursor for whatever encodeCursor would not have written. */
export function decodeCursor({ tag, keys, runs }: CursorForm, cursor: string): Position {
  const [itsTag, run, ...values] = decode(cursor)
  if (itsTag !== tag || !isIndex(run, runs) || values.length !== keys.length)
    throw new InvalidCursor()
  return { run, values: keys.map((key, index) => fitting(key, values[index])) }
}

const encode = (parts: unknown[]) => Buffer.from(JSON.stringify(parts)).toString('base64url')

function decode(cursor: string): unknown[] {
  if (cursor.length > longest) throw new InvalidCursor()
  const parts = parse(Buffer.from(cursor, 'base64url').toString())
  // Decoding forgives stray characters, broken UTF-8 and loose JSON; writing it again does not.
  if (!Array.isArray(parts) || encode(parts) !== cursor) throw new InvalidCursor()
  return parts
}

function parse(text: string): unknown {
  try {
    return JSON.parse(text)
  } catch {
    throw new InvalidCursor()
  }
}

const isIndex = (value: unknown, end: number): value is number =>
  Number.isInteger(value) && Number(value) >= 0 && Number(value) < end

function fitting(key: SortKey, value: unknown): SortValue {
  if (!fits(key, value)) throw new InvalidCursor()
  return value
}

function fits({ numeric, nullable }: SortKey, value: unknown): value is SortValue {
  if (value === null) return nullable === true
  if (numeric) return Number.isSafeInteger(value)
  return typeof value === 'string' && isStorableText(value)
}
