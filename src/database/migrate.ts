import * as fs from 'node:fs/promises'
import * as path from 'node:path'
import { FileMigrationProvider, Migrator } from 'kysely/migration'
import { columnTypes } from './column-types.ts'
import { type Db, isPostgres } from './database.ts'

const migrationFolder = path.resolve(import.meta.dirname, '../../migrations')

/** Brings the tables to the newest shape; each migration runs once, in its own order. */
export async function migrateToLatest(db: Db): Promise<void> {
  const provider = new FileMigrationProvider({ fs, path, migrationFolder })
  const made = isPostgres(db) ? db.withPlugin(columnTypes) : db
  const { error } = await new Migrator({ db: made, provider }).migrateToLatest()
  if (error) throw error
}
