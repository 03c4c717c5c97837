import { sql } from 'kysely'
import { type Db, isPostgres, openInMemory } from '../database.ts'
import { migrateToLatest } from '../migrate.ts'
import * as postgres from '../postgres/user-tables.ts'
import * as sqlite from '../sqlite/user-tables.ts'
import type { Tx } from '../transaction.ts'
import type { TableDescription, UserTable } from './user-table.ts'

/** Name of the key column of tables that createUserTable creates; its numbers are never reused. */
export const KEY_COLUMN = '_id'

const engine = (db: Db | Tx) => (isPostgres(db) ? postgres : sqlite)

/** Creates the table, with strict types and checks: they also apply to rows that other programs write. */
export const createUserTable = (tx: Tx, table: UserTable): Promise<void> =>
  engine(tx).createUserTable(tx, table)

/** Returns which of these tables exist: other programs may drop them. */
export async function existingTables(
  db: Db | Tx,
  sqlNames: readonly string[],
): Promise<Set<string>> {
  if (sqlNames.length === 0) return new Set()
  return new Set(await engine(db).existingTables(db, sqlNames))
}

/** Whether a table, view, index or sequence already has this name. */
export const nameExists = (db: Db | Tx, sqlName: string): Promise<boolean> =>
  engine(db).nameExists(db, sqlName)

/**
 * Describes the table with this name, or else one whose name differs only in case; null if there is no such
 * table.
 */
export const describeTable = (db: Db | Tx, tableName: string): Promise<TableDescription | null> =>
  engine(db).describeTable(db, tableName)

/** Returns the names of the application's own tables, in lower case, by migrating an empty database. */
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
