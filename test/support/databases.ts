import { randomBytes } from 'node:crypto'
import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { readConfig } from '../../src/config/config.ts'
import { type Db, openDatabase } from '../../src/database/database.ts'
import { migrateToLatest } from '../../src/database/migrate.ts'
import { databaseUrl, onServer } from './databases-setup.ts'

/** The PostgreSQL server of this run; undefined on SQLite and outside of vitest (the demo). */
const postgres = process.env.VITEST ? (await import('vitest')).inject('postgres') : undefined

/** The database engine of this run. */
export const database: 'PostgreSQL' | 'SQLite' = postgres ? 'PostgreSQL' : 'SQLite'

/**
 * Creates a migrated (or empty) database. Returns the variables that name it; SQLite creates its file
 * in DATA_DIR.
 */
export async function newDatabase({
  isEmpty = false,
} = {}): Promise<{ env: { DATABASE_URL?: string } } & AsyncDisposable> {
  if (!postgres) return { env: {}, async [Symbol.asyncDispose]() {} }
  const { url, template } = postgres
  const name = `holdall_${randomBytes(8).toString('hex')}`
  const from = isEmpty ? 'template0' : template
  await onServer(url, `create database ${name} template ${from} strategy file_copy`)
  return {
    env: { DATABASE_URL: databaseUrl(url, name) },
    [Symbol.asyncDispose]: () => onServer(url, `drop database if exists ${name} with (force)`),
  }
}

/**
 * Opens a new database `times` times, as that many processes would. Disposing closes and deletes it.
 */
export async function openRows(
  times: number,
): Promise<{ dbs: Db[]; url?: string | undefined } & AsyncDisposable> {
  await using stack = new AsyncDisposableStack()
  const dir = await mkdtemp(join(tmpdir(), 'rows-'))
  stack.defer(() => rm(dir, { recursive: true, force: true }))
  const { env } = stack.use(await newDatabase())
  const config = readConfig({ DATA_DIR: dir, ...env }).database
  const open = () => stack.adopt(openDatabase(config), (db) => db.destroy())
  const dbs = Array.from({ length: times }, open)
  if (dbs[0]) await migrateToLatest(dbs[0])
  const all = stack.move()
  return { dbs, url: env.DATABASE_URL, [Symbol.asyncDispose]: () => all.disposeAsync() }
}
