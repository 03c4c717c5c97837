import type SqliteFile from 'better-sqlite3'
import {
  type CompiledQuery,
  type DatabaseConnection,
  type Driver,
  type QueryResult,
  SelectQueryNode,
} from 'kysely'
import { createMutex, type Mutex } from '../../concurrency/mutex.ts'
import { runner } from './statement-cache.ts'
import { type SqliteLog, sqliteLog } from './wal-sync.ts'

/** Of what is written outside of a transaction: whether a loss of power may undo it. Then the disk is not waited for. */
export type WriteOptions = { mayBeLost?: boolean }

type Run = <R>(query: CompiledQuery) => QueryResult<R>
type Connections = {
  write: Run
  read: Run
  writer: SqliteFile.Database
  turns: Mutex
  log: SqliteLog
}

/**
 * Writing, and all that is asked within a transaction, goes through one connection, transaction by transaction; a select outside of any
 * does not wait for that, and takes the other. A commit is told when it is durable, and the next transaction has its turn before that: those
 * that end while the disk is at it share the next sync.
 */
export class ReadWriteDriver implements Driver {
  readonly #connections: Connections
  readonly #reader: SqliteFile.Database
  constructor(writer: SqliteFile.Database, reader: SqliteFile.Database) {
    const [turns, log] = [createMutex(), sqliteLog(writer)]
    this.#connections = { write: runner(writer), read: runner(reader), writer, turns, log }
    this.#reader = reader
  }
  async init() {}
  /** The rows of a select, which stands outside of any transaction and waits for none. */
  select<R>(query: CompiledQuery<R>): R[] {
    return selected<R>(this.#connections, query).rows
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

/** Whoever reads what another connection has changed begins with an empty cache: only where that one is busy. */
const selected = <R>({ turns, write, read }: Connections, query: CompiledQuery) =>
  turns.isFree() ? write<R>(query) : read<R>(query)

/** What Kysely holds for one statement, or for one transaction. */
class Connection implements DatabaseConnection {
  readonly #connections: Connections
  #hasTurn = false
  constructor(connections: Connections) {
    this.#connections = connections
  }

  async executeQuery<R>(query: CompiledQuery & WriteOptions): Promise<QueryResult<R>> {
    const { write, turns, log } = this.#connections
    if (this.#hasTurn) return write(query)
    if (SelectQueryNode.is(query.query)) return selected(this.#connections, query)
    await turns.take()
    const result = turns.leaveAfter(() => write<R>(query))
    if (!query.mayBeLost) await log.durable()
    return result
  }

  // biome-ignore lint/correctness/useYield: nobody streams.
  async *streamQuery(): AsyncGenerator<never> {
    throw new Error('SQLite is not streamed from')
  }

  async begin() {
    await this.#connections.turns.take()
    this.#hasTurn = true
    try {
      // At once with the right to write, for which it waits its turn among processes. One that reads first and then finds that
      // another process has written is refused by SQLite without waiting.
      this.#exec('begin immediate')
    } catch (error) {
      this.#leave()
      throw error
    }
  }

  /** Rolled back by whoever called where it fails before the end of the turn. */
  async commit() {
    this.#exec('commit')
    this.#leave()
    await this.#connections.log.durable()
  }

  /** A full or broken disk makes SQLite roll back by itself; to do it again is an error, which would hide the one that says why. */
  rollback() {
    if (!this.#hasTurn) return
    try {
      if (this.#connections.writer.inTransaction) this.#exec('rollback')
    } finally {
      this.#leave()
    }
  }

  #exec(sql: 'begin immediate' | 'commit' | 'rollback') {
    this.#connections.write({ sql, parameters: [] } as unknown as CompiledQuery)
  }
  #leave() {
    this.#hasTurn = false
    this.#connections.turns.leave()
  }
}
