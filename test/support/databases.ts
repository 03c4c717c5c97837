import { randomBytes } from 'node:crypto'
import { inject } from 'vitest'
import { databaseUrl, onServer } from './databases-setup.ts'

/** The server that this run's databases are on; undefined where they are SQLite's. */
const postgres = inject('postgres')

/** What these tests keep their rows in. */
export const database: 'PostgreSQL' | 'SQLite' = postgres ? 'PostgreSQL' : 'SQLite'

/** A new database with the tables of the house, and the variables that name it; SQLite makes its own in DATA_DIR. */
export async function newDatabase(): Promise<{ env: { DATABASE_URL?: string } } & AsyncDisposable> {
  if (!postgres) return { env: {}, async [Symbol.asyncDispose]() {} }
  const { url, template } = postgres
  const name = `holdall_${randomBytes(8).toString('hex')}`
  await onServer(url, `create database ${name} template ${template} strategy file_copy`)
  return {
    env: { DATABASE_URL: databaseUrl(url, name) },
    [Symbol.asyncDispose]: () => onServer(url, `drop database if exists ${name} with (force)`),
  }
}
