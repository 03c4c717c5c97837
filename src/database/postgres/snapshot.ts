import { Client } from 'pg'
import type { DatabaseConfig } from '../../config/config.ts'
import type { Env } from '../../config/env.ts'
import { StartupError } from '../../config/startup-error.ts'
import { type BlobEntry, blobsAfter, type Snapshot } from '../snapshot/contents.ts'
import { requireProgram, runProgram } from './client-programs.ts'

type PostgresConfig = Extract<DatabaseConfig, { kind: 'postgres' }>

/**
 * Opens an exported snapshot, which pg_dump reads as well. It uses the URL for LISTEN, because that URL
 * bypasses a PgBouncer in transaction mode. Throws StartupError if the database or pg_dump cannot be used.
 */
export async function postgresSnapshot({ listenUrl }: PostgresConfig, env: Env): Promise<Snapshot> {
  await using opened = new AsyncDisposableStack()
  const client = opened.adopt(await connect(listenUrl), (client) => client.end())
  await requireProgram('pg_dump', await serverVersion(client), env)
  await client.query('begin isolation level repeatable read read only')
  // The transaction lasts as long as the backup, and is idle while bytes are copied.
  await client.query('set local statement_timeout = 0')
  await client.query('set local idle_in_transaction_session_timeout = 0')
  const { rows } = await client.query('select pg_export_snapshot() as id')
  const open = opened.move()
  return {
    async dump(path) {
      const form = ['--format=custom', '--no-owner', '--no-privileges', '--no-comments']
      const args = [...form, `--snapshot=${rows[0].id}`, `--file=${path}`]
      await runProgram('pg_dump', args, listenUrl, env)
    },
    async *blobs() {
      for (let after = ''; ; ) {
        const { rows } = await client.query(blobsAfter('$1'), [after])
        yield* rows.map(({ id, size, sha256 }): BlobEntry => ({ id, size: Number(size), sha256 }))
        if (rows.length === 0) return
        after = rows.at(-1).id
      }
    },
    [Symbol.asyncDispose]: () => open.disposeAsync(),
  }
}

/** Throws StartupError if the database already has tables or pg_restore cannot be used. */
export async function requireNoTables({ listenUrl }: PostgresConfig, env: Env): Promise<void> {
  await using opened = new AsyncDisposableStack()
  const client = opened.adopt(await connect(listenUrl), (client) => client.end())
  await requireProgram('pg_restore', await serverVersion(client), env)
  const { rows } = await client.query(
    `select count(*)::int as tables from pg_class join pg_namespace on pg_namespace.oid = relnamespace
     where nspname = current_schema() and relkind in ('r', 'p', 'v', 'm', 'S')`,
  )
  if (rows[0].tables > 0)
    throw new StartupError(
      `The database of DATABASE_URL has ${rows[0].tables} tables; restore a backup into an empty database.`,
    )
}

/** Restores the dump in one transaction, all or nothing. Throws StartupError. */
export const restorePostgres = (dump: string, { listenUrl }: PostgresConfig, env: Env) =>
  runProgram(
    'pg_restore',
    [
      '--single-transaction',
      '--exit-on-error',
      '--no-owner',
      '--no-privileges',
      '--no-comments',
      dump,
    ],
    listenUrl,
    env,
  )

async function connect(connectionString: string): Promise<Client> {
  const client = new Client({ connectionString, connectionTimeoutMillis: 10_000 })
  // A pending query reports a broken connection; if none is pending, the next query does.
  client.on('error', () => {})
  await client.connect().catch((error: Error) => {
    throw new StartupError(`The database of DATABASE_URL cannot be used (${error.message}).`)
  })
  return client
}

async function serverVersion(client: Client): Promise<number> {
  const { rows } = await client.query('show server_version_num')
  return Math.floor(Number(rows[0].server_version_num) / 10_000)
}
