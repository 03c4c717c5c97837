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

export type Db = Kysely<Tables>

/** Opens the application's database; `destroy()` closes it. */
export function openDatabase(config: DatabaseConfig): Db {
  if (config.kind === 'sqlite') return new Kysely<Tables>({ dialect: sqliteDialect(config.path) })
  // `in ()` is false in SQLite and a syntax error in PostgreSQL.
  const emptyLists = new HandleEmptyInListsPlugin({ strategy: replaceWithNoncontingentExpression })
  return new Kysely<Tables>({ dialect: postgresDialect(config), plugins: [emptyLists] })
}

/** Returns a configuration with a small pool and no statement timeout, for commands that read all rows. */
export const withoutStatementTimeout = (config: DatabaseConfig): DatabaseConfig =>
  config.kind === 'sqlite' ? config : { ...config, poolSize: 2, statementTimeoutMs: 0 }

/** Opens an empty in-memory database, which is discarded when it is closed. */
export const openInMemory = (): Db => new Kysely<Tables>({ dialect: memoryDialect() })

/** Checks that the database answers; throws the driver's error if it does not. */
export const ping = (db: Db) => sql`select 1`.execute(db)

/**
 * Whether the database is PostgreSQL. For this folder only: other code calls a function that says what it
 * needs, such as hasSeveralProcesses.
 */
export const isPostgres = (db: Db): boolean => db.getExecutor().adapter instanceof PostgresAdapter

/** Returns whether several servers may use the database at the same time: SQLite is locked for one. */
export const hasSeveralProcesses = (db: Db): boolean => isPostgres(db)

/** Returns whether a query can skip rows that others have locked; SQLite has one writer and no row locks. */
export const supportsSkipLocked = (db: Db): boolean => isPostgres(db)

/** Returns the rows in the order of `ids`, with null for an id without a row. */
export function alignToIds<R extends { id: string }>(
  ids: readonly string[],
  rows: R[],
): (R | null)[] {
  const byId = new Map(rows.map((row) => [row.id, row]))
  return ids.map((id) => byId.get(id) ?? null)
}
