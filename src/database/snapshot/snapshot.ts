import { mkdir } from 'node:fs/promises'
import { dirname } from 'node:path'
import type { DatabaseConfig } from '../../config/config.ts'
import type { Env } from '../../config/env.ts'
import type { Log } from '../../log.ts'
import { postgresSnapshot, requireNoTables, restorePostgres } from '../postgres/snapshot.ts'
import { takeServerLock } from '../sqlite/server-lock.ts'
import { requireNoSqlite, restoreSqlite, sqliteSnapshot } from '../sqlite/snapshot.ts'
import type { Snapshot } from './contents.ts'

/** Opens a snapshot of the database; servers may go on writing. Throws StartupError. */
export const openSnapshot = (database: DatabaseConfig, env: Env): Promise<Snapshot> =>
  database.kind === 'sqlite' ? sqliteSnapshot(database.path) : postgresSnapshot(database, env)

/**
 * Throws StartupError unless the database is empty. Returns a lock that stops servers from starting on the
 * SQLite file until it is disposed; null on PostgreSQL.
 */
export async function lockEmptyDatabase(
  database: DatabaseConfig,
  env: Env,
  log: Log,
): Promise<Disposable | null> {
  if (database.kind === 'postgres') {
    await requireNoTables(database, env)
    return null
  }
  await requireNoSqlite(database.path)
  await mkdir(dirname(database.path), { recursive: true, mode: 0o700 })
  return takeServerLock(database.path, { timeoutMs: 0, log })
}

/**
 * Restores the dump into the empty database in one step, and returns the result of `finish`. On SQLite,
 * `finish` changes a copy that then becomes the database. Throws StartupError.
 */
export async function restoreDump<T>(
  dump: string,
  database: DatabaseConfig,
  env: Env,
  finish: (database: DatabaseConfig) => Promise<T>,
): Promise<T> {
  if (database.kind === 'sqlite')
    return restoreSqlite(dump, database.path, (path) => finish({ ...database, path }))
  await restorePostgres(dump, database, env)
  return finish(database)
}
