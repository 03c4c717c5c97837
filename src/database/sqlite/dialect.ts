import { mkdirSync } from 'node:fs'
import { dirname } from 'node:path'
import SqliteFile from 'better-sqlite3'
import {
  type CompiledQuery,
  type Dialect,
  type Kysely,
  SelectQueryNode,
  SqliteAdapter,
  SqliteDialect,
  SqliteIntrospector,
} from 'kysely'
import type { Tables } from '../tables.ts'
import { StablePlanCompiler } from './compiler.ts'
import { openConnections, type SqliteConnections } from './connections.ts'
import { SqliteDriver } from './driver.ts'

/** Creates the Kysely dialect for a SQLite file, and its folder if it does not exist. */
export function sqliteDialect(path: string): Dialect {
  mkdirSync(dirname(path), { recursive: true })
  const connections = openConnections(path)
  return {
    createAdapter: () => new Adapter(connections),
    createDriver: () => new SqliteDriver(connections),
    createQueryCompiler: () => new StablePlanCompiler(),
    createIntrospector: (db) => new SqliteIntrospector(db),
  }
}

/** Creates the Kysely dialect for an in-memory database, whose statements must not run concurrently. */
export const memoryDialect = () => new SqliteDialect({ database: new SqliteFile(':memory:') })

/**
 * Runs a select synchronously and returns its rows, because Kysely's asynchronous path takes longer than
 * SQLite itself. Returns undefined if the database or the query must use that path.
 */
export function selectSync<R>(db: Kysely<Tables>, query: CompiledQuery<R>): R[] | undefined {
  const { adapter } = db.getExecutor()
  const isOutsideTx = adapter instanceof Adapter && !db.isTransaction
  return isOutsideTx && SelectQueryNode.is(query.query)
    ? adapter.connections.select<R>(query).rows
    : undefined
}

class Adapter extends SqliteAdapter {
  readonly connections: SqliteConnections
  constructor(connections: SqliteConnections) {
    super()
    this.connections = connections
  }
  /**
   * SQLite's DDL is transactional: an interrupted migration is rolled back. Kysely assumes this of PostgreSQL
   * only.
   */
  override get supportsTransactionalDdl() {
    return true
  }
  /** Writers wait for each other; readers do not wait. */
  override get supportsMultipleConnections() {
    return true
  }
}
