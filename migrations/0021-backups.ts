import type { Kysely } from 'kysely'

/** Backups that are being made: while one is, the bytes of purged files stay. */
export async function up(db: Kysely<unknown>) {
  await db.schema
    .createTable('backups')
    .addColumn('id', 'text', (c) => c.primaryKey())
    .addColumn('leaseUntil', 'bigint', (c) => c.notNull())
    .execute()
}
