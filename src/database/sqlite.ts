import { mkdirSync } from 'node:fs'
import { dirname } from 'node:path'
import SqliteFile from 'better-sqlite3'
import { type DatabaseConnection, SqliteAdapter, SqliteDialect, SqliteDriver } from 'kysely'

/** One file, one connection. WAL with synchronous=FULL: what was committed survives a loss of power. */
export function sqliteDialect(path: string): SqliteDialect {
  mkdirSync(dirname(path), { recursive: true })
  const database = new SqliteFile(path)
  database.pragma('journal_mode = WAL')
  database.pragma('synchronous = FULL')
  database.pragma('foreign_keys = ON')
  database.pragma('busy_timeout = 5000')
  database.pragma('cache_size = -65536')
  database.pragma('mmap_size = 1073741824')
  return new Dialect(database)
}

class Dialect extends SqliteDialect {
  readonly #database: SqliteFile.Database
  constructor(database: SqliteFile.Database) {
    super({ database })
    this.#database = database
  }
  override createAdapter() {
    return new Adapter()
  }
  override createDriver() {
    return new Driver(this.#database)
  }
}

/** Tables are made and changed in a transaction like rows: a migration that is cut short has not begun. Kysely knows it of PostgreSQL only. */
class Adapter extends SqliteAdapter {
  override get supportsTransactionalDdl() {
    return true
  }
}

class Driver extends SqliteDriver {
  readonly #database: SqliteFile.Database
  constructor(database: SqliteFile.Database) {
    super({ database })
    this.#database = database
  }
  /** A full or broken disk makes SQLite roll back by itself; to do it again is an error, which would hide the one that says why. */
  override async rollbackTransaction(connection: DatabaseConnection) {
    if (this.#database.inTransaction) await super.rollbackTransaction(connection)
  }
}
