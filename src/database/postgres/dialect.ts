import { PostgresAdapter, PostgresDialect } from 'kysely'
import { Pool, TypeOverrides, types } from 'pg'
import { watchForAnswers } from './answer-watch.ts'
import { withReconnect } from './pool.ts'

/** How the house speaks to a PostgreSQL server; the URL may say more (sslmode, host, …), as `pg` has it. */
export type PostgresOptions = {
  url: string
  poolSize: number
  statementTimeoutMs: number
  /** How long a transaction may idle. */
  lockIdleMs: number
}

/** The server ends a statement by its time; this is for when nothing is heard from it any more. */
const GRACE_MS = 5_000
/** Idle for so long, a connection is tried by TCP: ten probes, a second apart. Without it the kernel waits for two hours. */
export const KEEP_ALIVE_MS = 2_000

/** A pool of connections, made when they are wanted. */
export function postgresDialect({
  url,
  poolSize,
  statementTimeoutMs,
  lockIdleMs,
}: PostgresOptions) {
  const pool = new Pool({
    connectionString: url,
    max: poolSize,
    types: numbers(),
    application_name: 'holdall',
    connectionTimeoutMillis: 10_000,
    idleTimeoutMillis: 30_000,
    keepAlive: true,
    keepAliveInitialDelayMillis: KEEP_ALIVE_MS,
    ...(statementTimeoutMs > 0 && {
      statement_timeout: statementTimeoutMs,
      // Whoever hangs in the middle of a transaction holds locks that others wait for.
      idle_in_transaction_session_timeout: statementTimeoutMs,
      query_timeout: statementTimeoutMs + GRACE_MS,
    }),
  })
  // One without a limit may be behind a PgBouncer, where each transaction has another connection.
  const ways = { kept: statementTimeoutMs > 0, begin: beginWith(lockIdleMs) }
  return new Dialect({ pool: withReconnect(pool, ways, watchForAnswers(url)) })
}

/**
 * In the round trip of BEGIN, and for this transaction alone, so that a pooler passes it. The server ends a session that idles
 * here, and its locks go to others. Who waits for a lock gives up a little earlier and begins again: a process that hangs with
 * many waiting transactions would else get the lock, and idle, in each of them in turn.
 */
function beginWith(lockIdleMs: number) {
  const lockTimeoutMs = Math.ceil(lockIdleMs * 0.8)
  return `begin; set local idle_in_transaction_session_timeout = ${lockIdleMs}; set local lock_timeout = ${lockTimeoutMs}`
}

/** Kysely's lock over migrations is a session's, which belongs to nobody in particular behind a pooler; migrate.ts has its own. */
class Adapter extends PostgresAdapter {
  override async acquireMigrationLock(): Promise<void> {}
  override async releaseMigrationLock(): Promise<void> {}
}

class Dialect extends PostgresDialect {
  override createAdapter() {
    return new Adapter()
  }
}

/** Sizes, moments and sums are numbers, as in SQLite: none comes near 2^53. */
function numbers() {
  const overrides = new TypeOverrides()
  overrides.setTypeParser(types.builtins.INT8, Number)
  overrides.setTypeParser(types.builtins.NUMERIC, Number)
  return overrides
}
