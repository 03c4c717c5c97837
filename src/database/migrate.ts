import * as fs from 'node:fs/promises'
import * as path from 'node:path'
import { type Kysely, sql } from 'kysely'
import { FileMigrationProvider, Migrator } from 'kysely/migration'
import { type Db, isPostgres } from './database.ts'
import { columnTypes } from './postgres/column-types.ts'
import type { Tables } from './tables.ts'

const migrationFolder = path.resolve(import.meta.dirname, '../../migrations')

/** Runs all pending migrations in order. Throws the error of the migration that failed. */
export async function migrateToLatest(db: Db): Promise<void> {
  if (!isPostgres(db)) {
    await migrate(db)
    // After the migrations, statement journals hold only a few pages: a temporary file would cost more than
    // the statement.
    await sql`pragma temp_store = memory`.execute(db)
    return
  }
  await db.transaction().execute(async (tx) => {
    // Overrides limits of the role: building an index over many rows may take long.
    for (const limit of [
      'statement_timeout',
      'lock_timeout',
      'idle_in_transaction_session_timeout',
    ])
      await sql`set local ${sql.raw(limit)} = 0`.execute(tx)
    // When several processes start at the same time, one migrates; the others wait here and find nothing to
    // do.
    await sql`select pg_advisory_xact_lock(3853314791062309107)`.execute(tx)
    await migrate(tx.withPlugin(columnTypes))
  })
}

async function migrate(db: Kysely<Tables>) {
  const provider = new FileMigrationProvider({ fs, path, migrationFolder })
  const { error } = await new Migrator({ db, provider }).migrateToLatest()
  if (error) throw error
}

/** Whether exactly the migrations of this version have run, none missing and none newer. */
export async function isUpToDate(db: Db): Promise<boolean> {
  const provider = new FileMigrationProvider({ fs, path, migrationFolder })
  const known = await provider.getMigrations()
  const { rows } = await sql<{ name: string }>`SELECT "name" FROM "kysely_migration"`.execute(db)
  const done = new Set(rows.map(({ name }) => name))
  return (
    done.size === Object.keys(known).length && Object.keys(known).every((name) => done.has(name))
  )
}
