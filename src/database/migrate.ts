import * as fs from 'node:fs/promises'
import * as path from 'node:path'
import type { Kysely } from 'kysely'
import { FileMigrationProvider, Migrator } from 'kysely/migration'
import { columnTypes } from './column-types.ts'
import { type Db, isPostgres } from './database.ts'
import type { Tables } from './tables.ts'

const migrationFolder = path.resolve(import.meta.dirname, '../../migrations')

/** Brings the tables to the newest shape; each migration runs once, in its own order. */
export function migrateToLatest(db: Db): Promise<void> {
  if (!isPostgres(db)) return migrate(db)
  return db.transaction().execute((tx) => migrate(tx.withPlugin(columnTypes)))
}

async function migrate(db: Kysely<Tables>) {
  const provider = new FileMigrationProvider({ fs, path, migrationFolder })
  const { error } = await new Migrator({ db, provider }).migrateToLatest()
  if (error) throw error
}
