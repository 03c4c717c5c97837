import {
  HandleEmptyInListsPlugin,
  Kysely,
  PostgresAdapter,
  replaceWithNoncontingentExpression,
  sql,
} from 'kysely'
import type { DatabaseConfig } from '../config.ts'
import { postgresDialect } from './postgres/dialect.ts'
import { memoryDialect, sqliteDialect } from './sqlite/dialect.ts'
import type { Tables } from './tables.ts'
import type { Tx } from './transaction.ts'

export type Db = Kysely<Tables>

/** Opens the rows of the house; `destroy()` closes them. */
export function openDatabase(config: DatabaseConfig): Db {
  if (config.kind === 'sqlite') return new Kysely<Tables>({ dialect: sqliteDialect(config.path) })
  // `in ()` is false in SQLite, and no SQL in PostgreSQL.
  const emptyLists = new HandleEmptyInListsPlugin({ strategy: replaceWithNoncontingentExpression })
  return new Kysely<Tables>({ dialect: postgresDialect(config), plugins: [emptyLists] })
}

/** An empty database that is gone when it is closed. */
export const openInMemory = (): Db => new Kysely<Tables>({ dialect: memoryDialect() })

/** Asks for nothing, to know whether there is an answer; throws what stands in its way. */
export const ping = (db: Db) => sql`select 1`.execute(db)

/** Whether many connections write at the same time; SQLite has one. */
export const isPostgres = (db: Db | Tx): boolean =>
  db.getExecutor().adapter instanceof PostgresAdapter

/** Puts rows in the order of the ids asked for; null where an id has no row. */
export function alignToIds<R extends { id: string }>(
  ids: readonly string[],
  rows: R[],
): (R | null)[] {
  const byId = new Map(rows.map((row) => [row.id, row]))
  return ids.map((id) => byId.get(id) ?? null)
}
