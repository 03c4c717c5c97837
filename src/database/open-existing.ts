import { existsSync } from 'node:fs'
import { type DatabaseConfig, StartupError } from '../config.ts'
import { type Db, openDatabase } from './database.ts'
import { isUpToDate } from './migrate.ts'

/**
 * Opens a database that a server has made, for a command that works beside servers: nothing is made or migrated. Throws StartupError
 * where it does not exist, cannot be used, or is of another version.
 */
export async function openExisting(database: DatabaseConfig): Promise<Db> {
  if (database.kind === 'sqlite' && !existsSync(database.path)) {
    throw new StartupError(
      `${database.path} is not there; DATABASE_URL or DATA_DIR say where it is.`,
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
      'The database is of another version of Holdall; npm start brings it up to date.',
    )
}
