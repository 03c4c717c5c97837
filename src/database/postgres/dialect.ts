import { PostgresAdapter, PostgresDialect } from 'kysely'
import { Pool, TypeOverrides, types } from 'pg'
import { watchForAnswers } from './answer-watch.ts'
import { withReconnect } from './pool.ts'

/** Connection options; the URL may have more (sslmode, host, …), as documented by `pg`. */
export type PostgresOptions = {
  url: string
  poolSize: number
  statementTimeoutMs: number
  /** How long a transaction may be idle. */
  lockIdleMs: number
}

/** Client-side timeout beyond the server's statement_timeout, for a server that stopped answering. */
const GRACE_MS = 5_000
/**
 * Idle time before TCP keepalive sends probes: up to ten, a second apart. The kernel's default is two hours.
 */
export const KEEP_ALIVE_MS = 2_000

/** Creates the Kysely dialect for PostgreSQL, with a pool of connections that are opened on demand. */
export function postgresDialect({
  url,
  poolSize,
  statementTimeoutMs,
  lockIdleMs,
}: PostgresOptions) {
  const pool = new Pool({
    connectionString: url,
    max: poolSize,
    types: numericTypes(),
    application_name: 'holdall',
    connectionTimeoutMillis: 10_000,
    idleTimeoutMillis: 30_000,
    keepAlive: true,
    keepAliveInitialDelayMillis: KEEP_ALIVE_MS,
    ...(statementTimeoutMs > 0 && {
      statement_timeout: statementTimeoutMs,
      // A transaction that hangs holds locks that others wait for.
      idle_in_transaction_session_timeout: statementTimeoutMs,
      query_timeout: statementTimeoutMs + GRACE_MS,
    }),
  })
  // Without a statement timeout there may be a PgBouncer, where each transaction may use another connection.
  const protocol = { isPrepared: statementTimeoutMs > 0, begin: beginWith(lockIdleMs) }
  return new Dialect({ pool: withReconnect(pool, protocol, watchForAnswers(url)) })
}

/**
 * Returns the SQL that begins a transaction and sets its timeouts in the same round trip. They apply to this
 * transaction only, which works behind a pooler. The server ends a session that is idle in the transaction
 * and releases its locks. Waiting for a lock times out a little earlier and is retried: otherwise a hanging
 * process with many waiting transactions would get the lock, and be idle, in each of them in turn.
 */
function beginWith(lockIdleMs: number) {
  const lockTimeoutMs = Math.ceil(lockIdleMs * 0.8)
  return `begin; set local idle_in_transaction_session_timeout = ${lockIdleMs}; set local lock_timeout = ${lockTimeoutMs}`
}

/**
 * Does not lock migrations: Kysely locks by session, which does not work behind a pooler; migrate.ts has its
 * own lock.
 */
class Adapter extends PostgresAdapter {
  override async acquireMigrationLock(): Promise<void> {}
  override async releaseMigrationLock(): Promise<void> {}
}

class Dialect extends PostgresDialect {
  override createAdapter() {
    return new Adapter()
  }
}

/** Parses sizes, moments and sums as numbers, as in SQLite: all are far below 2^53. */
function numericTypes() {
  const overrides = new TypeOverrides()
  overrides.setTypeParser(types.builtins.INT8, Number)
  overrides.setTypeParser(types.builtins.NUMERIC, Number)
  return overrides
}
