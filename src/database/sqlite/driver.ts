import type SqliteFile from 'better-sqlite3'
import {
  type CompiledQuery,
  type DatabaseConnection,
  type Driver,
  type QueryResult,
  SelectQueryNode,
} from 'kysely'
import { createMutex, type Mutex } from '../../concurrency/mutex.ts'
import { createRunner } from './statement-cache.ts'
import { createWalSync, type WalSync } from './wal-sync.ts'

/** With `skipSync`, a write outside a transaction does not wait for the disk: a power failure may undo it. */
export type WriteOptions = { skipSync?: boolean }

type Run = <R>(query: CompiledQuery) => QueryResult<R>
type Connections = {
  write: Run
  read: Run
  writer: SqliteFile.Database
  mutex: Mutex
  log: WalSync
}

/**
 * Runs writes and transactions one after the other on one connection. Selects outside a transaction never
 * wait: while the writer is busy, they use a second connection. A commit resolves when it is durable; the
 * next transaction starts before that, so that commits during a sync share the next sync.
 */
export class ReadWriteDriver implements Driver {
  readonly #connections: Connections
  readonly #reader: SqliteFile.Database
  constructor(writer: SqliteFile.Database, reader: SqliteFile.Database) {
    const [mutex, log] = [createMutex(), createWalSync(writer)]
    this.#connections = {
      write: createRunner(writer),
      read: createRunner(reader),
      writer,
      mutex,
      log,
    }
    this.#reader = reader
  }
  async init() {}
  /** Runs a select outside a transaction, without waiting for a running one. */
  select<R>(query: CompiledQuery<R>): R[] {
    return runSelect<R>(this.#connections, query).rows
  }
  async acquireConnection() {
    return new Connection(this.#connections)
  }
  beginTransaction(connection: Connection) {
    return connection.begin()
  }
  commitTransaction(connection: Connection) {
    return connection.commit()
  }
  async rollbackTransaction(connection: Connection) {
    connection.rollback()
  }
  async releaseConnection() {}
  async destroy() {
    await this.#connections.log.close()
    this.#reader.close()
    this.#connections.writer.close()
  }
}

/** Reads on the writer if it is free: the reader's page cache is invalid after each write. */
const runSelect = <R>({ mutex, write, read }: Connections, query: CompiledQuery) =>
  mutex.isFree() ? write<R>(query) : read<R>(query)

/** A Kysely connection for one statement or transaction. */
class Connection implements DatabaseConnection {
  readonly #connections: Connections
  #hasLock = false
  constructor(connections: Connections) {
    this.#connections = connections
  }

  async executeQuery<R>(query: CompiledQuery & WriteOptions): Promise<QueryResult<R>> {
    const { write, mutex, log } = this.#connections
    if (this.#hasLock) return write(query)
    if (SelectQueryNode.is(query.query)) return runSelect(this.#connections, query)
    await mutex.acquire()
    const result = mutex.releaseAfter(() => write<R>(query))
    if (!query.skipSync) await log.sync()
    return result
  }

  // biome-ignore lint/correctness/useYield: streaming is not supported.
  async *streamQuery(): AsyncGenerator<never> {
    throw new Error('streaming is not supported with SQLite')
  }

  async begin() {
    await this.#connections.mutex.acquire()
    this.#hasLock = true
    try {
      // Acquires the write lock at once and waits for other processes. A deferred transaction that reads
      // before another process writes would fail with SQLITE_BUSY without waiting.
      this.#exec('begin immediate')
    } catch (error) {
      this.#release()
      throw error
    }
  }

  /** If COMMIT fails, the mutex stays held and Kysely calls rollback. */
  async commit() {
    this.#exec('commit')
    this.#release()
    await this.#connections.log.sync()
  }

  /**
   * Rolls back unless SQLite has already done so, as on a full or broken disk: a second rollback would fail
   * and hide the cause.
   */
  rollback() {
    if (!this.#hasLock) return
    try {
      if (this.#connections.writer.inTransaction) this.#exec('rollback')
    } finally {
      this.#release()
    }
  }

  #exec(sql: 'begin immediate' | 'commit' | 'rollback') {
    this.#connections.write({ sql, parameters: [] } as unknown as CompiledQuery)
  }
  #release() {
    this.#hasLock = false
    this.#connections.mutex.release()
  }
}
