import { Client } from 'pg'
import type { TestProject } from 'vitest/node'
import { openDatabase } from '../../src/database/database.ts'
import { migrateToLatest } from '../../src/database/migrate.ts'
import { startPostgres } from './servers/postgres-server.ts'

declare module 'vitest' {
  interface ProvidedContext {
    /** URL of the PostgreSQL server, and the name of a migrated database to copy. */
    postgres: { url: string; template: string }
  }
}

/**
 * Prepares PostgreSQL for a run: the server of TEST_DATABASE_URL or a new one, and a migrated template
 * database.
 */
export async function setup(project: TestProject) {
  await using stack = new AsyncDisposableStack()
  const given = process.env.TEST_DATABASE_URL
  const url = given ?? stack.use(await startPostgres()).url
  const template = `holdall_template_${process.pid}`
  await onServer(url, `create database ${template}`)
  stack.defer(() => onServer(url, `drop database ${template}`))
  const there = databaseUrl(url, template)
  const config = { kind: 'postgres', url: there, listenUrl: there, poolSize: 1 } as const
  const db = openDatabase({ ...config, statementTimeoutMs: 0, lockIdleMs: 3000 })
  await migrateToLatest(db).finally(() => db.destroy())
  project.provide('postgres', { url, template })
  const open = stack.move()
  return () => open.disposeAsync()
}

/** Returns the URL of another database on the same server. */
export function databaseUrl(url: string, name: string): string {
  const there = new URL(url)
  there.pathname = `/${name}`
  return there.href
}

/** Runs one statement in the server's `postgres` database. */
export async function onServer(url: string, statement: string): Promise<void> {
  const client = new Client({ connectionString: databaseUrl(url, 'postgres') })
  await client.connect()
  await client.query(statement).finally(() => client.end())
}
