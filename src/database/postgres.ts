import { PostgresDialect } from 'kysely'
import { Pool, TypeOverrides, types } from 'pg'

/** How the house speaks to a PostgreSQL server; the URL may say more (sslmode, host, …), as libpq has it. */
export type PostgresOptions = { url: string; poolSize: number; statementTimeoutMs: number }

/** A pool of connections, made when they are wanted. */
export function postgresDialect({ url, poolSize, statementTimeoutMs }: PostgresOptions) {
  const pool = new Pool({
    connectionString: url,
    max: poolSize,
    types: numbers(),
    application_name: 'holdall',
    connectionTimeoutMillis: 10_000,
    idleTimeoutMillis: 30_000,
    keepAlive: true,
    ...(statementTimeoutMs > 0 && {
      statement_timeout: statementTimeoutMs,
      // Whoever hangs in the middle of a transaction holds locks that others wait for.
      idle_in_transaction_session_timeout: statementTimeoutMs,
    }),
  })
  // An idle connection that breaks is replaced when the next one is wanted; without a listener it would end the process.
  pool.on('error', () => {})
  return new PostgresDialect({ pool })
}

/** Sizes, moments and sums are numbers, as in SQLite: none comes near 2^53. */
function numbers() {
  const overrides = new TypeOverrides()
  overrides.setTypeParser(types.builtins.INT8, Number)
  overrides.setTypeParser(types.builtins.NUMERIC, Number)
  return overrides
}
