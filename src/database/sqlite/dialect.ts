import { mkdirSync } from 'node:fs'
import { dirname } from 'node:path'
import SqliteFile from 'better-sqlite3'
import {
  type CompiledQuery,
  type Kysely,
  SelectQueryNode,
  SqliteAdapter,
  SqliteDialect,
} from 'kysely'
import type { Tables } from '../tables.ts'
import { StablePlanCompiler } from './compiler.ts'
import { ReadWriteDriver } from './driver.ts'

/**
 * One file, two connections: one that writes, and one that reads beside it. What was committed survives a loss of power: WAL, whose
 * file sqlite-log.ts syncs before anybody hears of a commit.
 */
export function sqliteDialect(path: string): SqliteDialect {
  mkdirSync(dirname(path), { recursive: true })
  const writer = open(path)
  writer.pragma('journal_mode = WAL')
  // The log is synced by SQLite itself where it is written back into the database, and for each commit by sqlite-log.ts.
  writer.pragma('synchronous = NORMAL')
  writer.pragma('wal_autocheckpoint = 4000')
  writer.pragma('foreign_keys = ON')
  return new Dialect(writer, open(path, { readonly: true }))
}

/** In memory, and for one who asks one thing after the other. */
export const memoryDialect = () => new SqliteDialect({ database: new SqliteFile(':memory:') })

function open(path: string, options: SqliteFile.Options = {}) {
  const file = new SqliteFile(path, options)
  file.pragma('busy_timeout = 5000')
  file.pragma('cache_size = -65536')
  file.pragma('mmap_size = 1073741824')
  return file
}

class Dialect extends SqliteDialect {
  readonly #driver: ReadWriteDriver
  constructor(writer: SqliteFile.Database, reader: SqliteFile.Database) {
    super({ database: writer })
    this.#driver = new ReadWriteDriver(writer, reader)
  }
  override createAdapter() {
    return new Adapter(this.#driver)
  }
  override createQueryCompiler() {
    return new StablePlanCompiler()
  }
  override createDriver() {
    return this.#driver
  }
}

/**
 * What a select finds, at once: Kysely would take longer to pass it on than SQLite to answer. Undefined for a database or a query that
 * has to go the usual way.
 */
export function selectSync<R>(db: Kysely<Tables>, query: CompiledQuery<R>): R[] | undefined {
  const { adapter } = db.getExecutor()
  const isPlain = adapter instanceof Adapter && !db.isTransaction
  return isPlain && SelectQueryNode.is(query.query) ? adapter.driver.select(query) : undefined
}

class Adapter extends SqliteAdapter {
  readonly driver: ReadWriteDriver
  constructor(driver: ReadWriteDriver) {
    super()
    this.driver = driver
  }
  /** Tables are made and changed in a transaction like rows: a migration that is cut short has not begun. Kysely knows it of PostgreSQL only. */
  override get supportsTransactionalDdl() {
    return true
  }
  /** Who writes waits in the driver; who reads does not. */
  override get supportsMultipleConnections() {
    return true
  }
}
