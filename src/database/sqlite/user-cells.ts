import { type KyselyPlugin, type RawBuilder, type SqlBool, sql } from 'kysely'
import { RowRejected } from '../../errors.ts'
import type { Cell } from '../user-tables/cells.ts'
import type { UserTable } from '../user-tables/tables.ts'

/*
 * What SQLite has its own way of doing with a cell of a user table.
 */

type Ref = RawBuilder<unknown>

/** The driver rounds whole numbers beyond 2^53; as text they stay what they are, and an integer column takes them back. */
export const selected = (cell: Ref): RawBuilder<Cell> =>
  sql`case when typeof(${cell}) = 'integer' and ${cell} not between -9007199254740991 and 9007199254740991 then cast(${cell} as text) else ${cell} end`

/** What is needed to make cells of what was selected. */
export const asCells = (_table: UserTable): KyselyPlugin[] => []

export const equals = (cell: Ref, _type: unknown, value: Cell): RawBuilder<SqlBool> =>
  sql`${cell} = ${value}`

/** The cell as one that is compared by its bytes. */
export const bytewise = (cell: Ref): Ref => cell

/** Said where rows have keys that the table did not give them. */
export const withOwnKeys = sql``

/** Said where a row is not to be, rather than to fail, if its key is another's; SQLite gives none such. */
export const unlessKeyIsTaken = (_table: UserTable): RawBuilder<unknown> => sql``

/** The table's next number is beyond all keys that there are. */
export const passTakenKeys = async (): Promise<void> => {}

/** SQLite checks at once, but for foreign keys that are declared as deferred. */
export const checkDeferred = async (): Promise<void> => {}

const reasons: [RegExp, string][] = [
  [/_(UNIQUE|PRIMARYKEY|ROWID)$/, 'another row has this value'],
  [/_NOTNULL$/, 'a value is needed'],
  [/_FOREIGNKEY$/, 'a foreign key would not hold'],
]

/** SQLite says "UNIQUE constraint failed: plates.image", "CHECK constraint failed: length(image) < 9". */
export function rejection(table: UserTable, error: unknown): RowRejected | null {
  const { code, message } = error as { code?: string; message: string }
  if (!code?.startsWith('SQLITE_CONSTRAINT') && code !== 'SQLITE_MISMATCH') return null
  const named = /^(?:UNIQUE|NOT NULL) constraint failed: [^,]*\.([^.,]+)$/.exec(message)?.[1]
  const reason = reasons.find(([pattern]) => pattern.test(code ?? ''))?.[1] ?? message
  return new RowRejected({ table: table.name, column: named ?? null, reason })
}
