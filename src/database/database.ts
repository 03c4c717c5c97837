import {
  HandleEmptyInListsPlugin,
  Kysely,
  PostgresAdapter,
  replaceWithNoncontingentExpression,
  sql,
} from 'kysely'
import type { DatabaseConfig } from '../config/config.ts'
import { postgresDialect } from './postgres/dialect.ts'
import { memoryDialect, sqliteDialect } from './sqlite/dialect.ts'
import type { Tables } from './tables.ts'
import type { Tx } from './transaction.ts'

export type Db = Kysely<Tables>

/** Opens the application's database; `destroy()` closes it. */
export function openDatabase(config: DatabaseConfig): Db {
  if (config.kind === 'sqlite') return new Kysely<Tables>({ dialect: sqliteDialect(config.path) })
  // `in ()` is false in SQLite and a syntax error in PostgreSQL.
  const emptyLists = new HandleEmptyInListsPlugin({ strategy: replaceWithNoncontingentExpression })
  return new Kysely<Tables>({ dialect: postgresDialect(config), plugins: [emptyLists] })
}

/** Opens an empty in-memory database, which is discarded when it is closed. */
export const openInMemory = (): Db => new Kysely<Tables>({ dialect: memoryDialect() })

/** Checks that the database answers; throws the driver's error if it does not. */
export const ping = (db: Db) => sql`select 1`.execute(db)

/** Whether the database is PostgreSQL, where several connections can write at the same time. */
export const isPostgres = (db: Db | Tx): boolean =>
  db.getExecutor().adapter instanceof PostgresAdapter

/** Returns the rows in the order of `ids`, with null for an id without a row. */
export function alignToIds<R extends { id: string }>(
  ids: readonly string[],
  rows: R[],
): (R | null)[] {
  const byId = new Map(rows.map((row) => [row.id, row]))
  return ids.map((id) => byId.get(id) ?? null)
}
