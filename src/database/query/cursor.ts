import { createHash } from 'node:crypto'
import { InvalidCursor } from '../../errors/input.ts'
import { isStorableText } from '../../names.ts'
import { type SortKey, type SortValue, sortValue } from './keyset-predicate.ts'

/** The list and order that a cursor belongs to. */
export type CursorForm = { tag: string; keys: readonly SortKey[]; runs: number }
/** The sort values of the row that the cursor points to, and the index of its run. */
export type Position = { run: number; values: SortValue[] }

const MAX_CURSOR_CHARACTERS = 8192

/**
 * Returns the form of cursors of an ordering: its tag depends on the name, the keys and the number of runs.
 */
export function cursorForm(ordering: string, keys: readonly SortKey[], runs: number): CursorForm {
  const order = keys.map(({ column, direction }) => `${column} ${direction}`)
  const hash = createHash('sha256').update(JSON.stringify([ordering, runs, ...order]))
  return { tag: hash.digest('base64url').slice(0, 8), keys, runs }
}

/**
 * Returns the cursor of `row`. Throws TypeError if a value does not match its key, which is a bug of the
 * list.
 */
export function encodeCursor({ tag, keys }: CursorForm, run: number, row: object): string {
  const values = keys.map((key) => {
    const value: unknown = sortValue(row, key)
    if (!fits(key, value)) throw new TypeError(mismatchMessage(key, value))
    return value
  })
  return encode([tag, run, ...values])
}

const mismatchMessage = ({ column, as, ...key }: SortKey, value: unknown) =>
  `${column}: the row's ${as} is a ${typeof value} (${String(value)}), but its sort key is ${JSON.stringify(key)}`

/**
 * Returns the position of a cursor. Throws InvalidCursor for any text that encodeCursor would not have
 * written.
 */
export function decodeCursor({ tag, keys, runs }: CursorForm, cursor: string): Position {
  const [cursorTag, run, ...values] = decode(cursor)
  if (cursorTag !== tag || !isIndex(run, runs) || values.length !== keys.length)
    throw new InvalidCursor()
  return { run, values: keys.map((key, index) => requireFit(key, values[index])) }
}

const encode = (parts: unknown[]) => Buffer.from(JSON.stringify(parts)).toString('base64url')

function decode(cursor: string): unknown[] {
  if (cursor.length > MAX_CURSOR_CHARACTERS) throw new InvalidCursor()
  const parts = parse(Buffer.from(cursor, 'base64url').toString())
  // Decoding tolerates stray characters, broken UTF-8 and JSON whitespace; comparing with a re-encoding does
  // not.
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

function requireFit(key: SortKey, value: unknown): SortValue {
  if (!fits(key, value)) throw new InvalidCursor()
  return value
}

function fits({ numeric, nullable }: SortKey, value: unknown): value is SortValue {
  if (value === null) return nullable === true || nullable === 'apart'
  if (numeric) return Number.isSafeInteger(value)
  return typeof value === 'string' && isStorableText(value)
}
