import { Kysely } from 'kysely'
import type { DatabaseConfig } from '../config.ts'
import { sqliteDialect } from './sqlite.ts'
import type { Tables } from './tables.ts'

export type Db = Kysely<Tables>

/** Opens the rows of the house; `destroy()` closes them. */
export function openDatabase(config: DatabaseConfig): Db {
  return new Kysely<Tables>({ dialect: sqliteDialect(config.path) })
}

/** Puts rows in the order of the ids asked for; null where an id has no row. */
export function inOrder<R extends { id: string }>(ids: readonly string[], rows: R[]): (R | null)[] {
  const byId = new Map(rows.map((row) => [row.id, row]))
  return ids.map((id) => byId.get(id) ?? null)
}
