import * as fs from 'node:fs/promises'
import * as path from 'node:path'
import { FileMigrationProvider, Migrator } from 'kysely/migration'
import type { Db } from './database.ts'

const migrationFolder = path.resolve(import.meta.dirname, '../../migrations')

/** Brings the tables to the newest shape; each migration runs once, in its own order. */
export async function migrateToLatest(db: Db): Promise<void> {
  const provider = new FileMigrationProvider({ fs, path, migrationFolder })
  const { error } = await new Migrator({ db, provider }).migrateToLatest()
  if (error) throw error
}
