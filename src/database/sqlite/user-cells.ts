import { type KyselyPlugin, type RawBuilder, type SqlBool, sql } from 'kysely'
import { RowRejected } from '../../errors/entries.ts'
import type { Cell, UserTable } from '../user-tables/user-table.ts'

/*
 * Cells of user tables on SQLite.
 */

type Ref = RawBuilder<unknown>

/**
 * Selects integers beyond 2^53 as text, because the driver rounds them; an integer column converts them back.
 */
export const selected = (cell: Ref): RawBuilder<Cell> =>
  sql`case when typeof(${cell}) = 'integer' and ${cell} not between -9007199254740991 and 9007199254740991 then cast(${cell} as text) else ${cell} end`

/** Returns Kysely plugins that convert the selected values to cells: none for SQLite. */
export const cellPlugins = (_table: UserTable): KyselyPlugin[] => []

/** Returns a predicate for cells equal to `value`. */
export const equals = (cell: Ref, _type: unknown, value: Cell): RawBuilder<SqlBool> =>
  sql`${cell} = ${value}`

/** Returns the cell unchanged: SQLite compares text by bytes. */
export const binaryCollated = (cell: Ref): Ref => cell

/** The INSERT clause that permits explicit keys: empty, because SQLite always permits them. */
export const explicitKeysClause = sql``

/**
 * Returns the INSERT clause that skips a row whose key exists: empty, because SQLite never generates such a
 * key.
 */
export const ignoreKeyConflict = (_table: UserTable): RawBuilder<unknown> => sql``

/** Does nothing: SQLite's next key is always larger than all existing ones. */
export const advanceSequence = async (): Promise<void> => {}

/** Does nothing: SQLite defers foreign keys only if they are declared so. */
export const checkDeferred = async (): Promise<void> => {}

const reasons: [RegExp, string][] = [
  [/_(UNIQUE|PRIMARYKEY|ROWID)$/, 'another row has this value'],
  [/_NOTNULL$/, 'a value is required'],
  [/_FOREIGNKEY$/, 'the row violates a foreign key'],
]

/**
 * Translates a database error that the row's values caused; null for any other error. SQLite's messages look
 * like "UNIQUE constraint failed: plates.image" and "CHECK constraint failed: length(image) < 9".
 */
export function toRowRejected(table: UserTable, error: unknown): RowRejected | null {
  const { code = '', message } = error as { code?: string; message: string }
  if (!code.startsWith('SQLITE_CONSTRAINT') && code !== 'SQLITE_MISMATCH') return null
  const named = /^(?:UNIQUE|NOT NULL) constraint failed: [^,]*\.([^.,]+)$/.exec(message)?.[1]
  const reason = reasons.find(([pattern]) => pattern.test(code))?.[1] ?? message
  return new RowRejected({ table: table.name, column: named ?? null, reason })
}
