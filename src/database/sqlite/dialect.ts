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
 * Creates the Kysely dialect for a SQLite file, with one connection that writes and one that reads. Commits
 * survive a power failure: wal-sync.ts syncs the write-ahead log before a commit is reported.
 */
export function sqliteDialect(path: string): SqliteDialect {
  mkdirSync(dirname(path), { recursive: true })
  const writer = open(path)
  writer.pragma('journal_mode = WAL')
  // SQLite syncs the log at checkpoints, and wal-sync.ts syncs it for each commit.
  writer.pragma('synchronous = NORMAL')
  writer.pragma('wal_autocheckpoint = 4000')
  writer.pragma('foreign_keys = ON')
  return new Dialect(writer, open(path, { readonly: true }))
}

/** Creates the Kysely dialect for an in-memory database, whose statements must not run concurrently. */
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
 * Runs a select synchronously and returns its rows, because Kysely's asynchronous path takes longer than
 * SQLite itself. Returns undefined if the database or the query must use that path.
 */
export function selectSync<R>(db: Kysely<Tables>, query: CompiledQuery<R>): R[] | undefined {
  const { adapter } = db.getExecutor()
  const isOutsideTx = adapter instanceof Adapter && !db.isTransaction
  return isOutsideTx && SelectQueryNode.is(query.query) ? adapter.driver.select(query) : undefined
}

class Adapter extends SqliteAdapter {
  readonly driver: ReadWriteDriver
  constructor(driver: ReadWriteDriver) {
    super()
    this.driver = driver
  }
  /**
   * SQLite's DDL is transactional: an interrupted migration is rolled back. Kysely assumes this of PostgreSQL
   * only.
   */
  override get supportsTransactionalDdl() {
    return true
  }
  /** The driver queues writers; readers do not wait. */
  override get supportsMultipleConnections() {
    return true
  }
}
