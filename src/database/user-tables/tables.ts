import { sql } from 'kysely'
import { type Db, isPostgres, openInMemory } from '../database.ts'
import { migrateToLatest } from '../migrate.ts'
import * as postgres from '../postgres/user-tables.ts'
import * as sqlite from '../sqlite/user-tables.ts'
import type { ColumnType } from '../tables.ts'
import type { Tx } from '../transaction.ts'

/** A column of a table that is not the house's own. No type: kept as it is, neither shown nor filled. */
export type UserColumn = { name: string; type: ColumnType | null; nullable: boolean }
export type UserTable = {
  /** As people call it. */
  name: string
  /** As the database does. */
  sqlName: string
  keyColumn: string
  columns: UserColumn[]
  /** An operator's table: what it refuses must not tell of rows and columns that are not shown. */
  letIn: boolean
}
/** A table as the database's own catalogue has it. */
export type TableDescription = Omit<UserTable, 'keyColumn' | 'letIn'> & {
  /** The column of whole numbers that is its primary key, where it has one such. */
  keyColumn: string | null
  /** The columns that take any text: none of them is taken for a FILE_PATH, and no other can be one. */
  textColumns: string[]
}

/** The key of every table made here; numbers that were given once are never given again. */
export const KEY_COLUMN = '_id'

const engine = (db: Db | Tx) => (isPostgres(db) ? postgres : sqlite)

/** Makes a real table. Strict, with checks: what other programs write is of the type that the column says, too. */
export const makeUserTable = (tx: Tx, table: UserTable): Promise<void> =>
  engine(tx).makeUserTable(tx, table)

/** Those of these tables that the database has: any program may drop them. */
export async function standing(db: Db | Tx, sqlNames: readonly string[]): Promise<Set<string>> {
  if (sqlNames.length === 0) return new Set()
  return new Set(await engine(db).standing(db, sqlNames))
}

/** Whether no table can have this name, because a table, a view, an index or a sequence has it. */
export const isTaken = (db: Db | Tx, sqlName: string): Promise<boolean> =>
  engine(db).isTaken(db, sqlName)

/** A table of this name, else one whose name differs by case alone; null where there is none, or it is no plain table. */
export const describeTable = (db: Db | Tx, named: string): Promise<TableDescription | null> =>
  engine(db).describeTable(db, named)

/** What the house's own tables are called on any database, in lower case: whatever its migrations make in an empty one. */
export async function systemTables(): Promise<Set<string>> {
  const empty = openInMemory()
  try {
    await migrateToLatest(empty)
    const { rows } = await sql<{ name: string }>`select name from pragma_table_list`.execute(empty)
    return new Set(rows.map(({ name }) => name.toLowerCase()))
  } finally {
    await empty.destroy()
  }
}
