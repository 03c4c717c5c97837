import type { Kysely } from 'kysely'

/** Running backups: while one runs, the bytes of purged files are not deleted. */
export async function up(db: Kysely<unknown>) {
  await db.schema
    .createTable('backups')
    .addColumn('id', 'text', (c) => c.primaryKey())
    .addColumn('leaseUntil', 'bigint', (c) => c.notNull())
    .execute()
}
