import {
  type CompiledQuery,
  type DatabaseConnection,
  type Driver,
  type QueryResult,
  SelectQueryNode,
} from 'kysely'
import type { SqliteConnections, SqliteTransaction, WriteOptions } from './connections.ts'

/** Kysely's driver for the connections of connections.ts. */
export class SqliteDriver implements Driver {
  readonly #connections: SqliteConnections
  constructor(connections: SqliteConnections) {
    this.#connections = connections
  }
  async init() {}
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
  destroy() {
    return this.#connections.close()
  }
}

/** A Kysely connection for one statement or transaction. */
class Connection implements DatabaseConnection {
  readonly #connections: SqliteConnections
  #transaction: SqliteTransaction | null = null
  constructor(connections: SqliteConnections) {
    this.#connections = connections
  }

  async executeQuery<R>(query: CompiledQuery & WriteOptions): Promise<QueryResult<R>> {
    if (this.#transaction) return this.#transaction.run(query)
    const isSelect = SelectQueryNode.is(query.query)
    return isSelect ? this.#connections.select(query) : this.#connections.write(query)
  }

  // biome-ignore lint/correctness/useYield: streaming is not supported.
  async *streamQuery(): AsyncGenerator<never> {
    throw new Error('streaming is not supported with SQLite')
  }

  async begin() {
    this.#transaction = await this.#connections.begin()
  }

  /** If COMMIT fails, the transaction stays open and Kysely calls rollback. */
  async commit() {
    await this.#transaction?.commit()
    // What runs on this connection later must wait for its turn again.
    this.#transaction = null
  }

  rollback() {
    this.#transaction?.rollback()
    this.#transaction = null
  }
}
