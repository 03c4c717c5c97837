import { existsSync } from 'node:fs'
import type { DatabaseConfig } from '../config/config.ts'
import { StartupError } from '../config/startup-error.ts'
import { type Db, openDatabase } from './database.ts'
import { isUpToDate } from './migrate.ts'

/**
 * Opens an existing database for a command that may run while servers do; creates and migrates nothing.
 * Throws StartupError if the database does not exist, cannot be used or belongs to another version.
 */
export async function openExisting(database: DatabaseConfig): Promise<Db> {
  if (database.kind === 'sqlite' && !existsSync(database.path)) {
    throw new StartupError(
      `${database.path} does not exist; set DATABASE_URL or DATA_DIR to the database of the server.`,
    )
  }
  await using opened = new AsyncDisposableStack()
  const db = opened.adopt(openDatabase(database), (db) => db.destroy())
  await requireUpToDate(db)
  opened.move()
  return db
}

async function requireUpToDate(db: Db) {
  const isCurrent = await isUpToDate(db).catch((error: Error) => {
    throw new StartupError(`The database cannot be used (${error.message}).`)
  })
  if (!isCurrent)
    throw new StartupError(
      'The database belongs to another version of Holdall; run npm start to migrate it.',
    )
}
