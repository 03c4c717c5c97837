import type { Kysely } from 'kysely'

/** Rate limit counters (RATE_LIMIT) that several processes share. */
export async function up(db: Kysely<unknown>) {
  await db.schema
    .createTable('tallies')
    .addColumn('key', 'text', (c) => c.primaryKey())
    .addColumn('points', 'bigint', (c) => c.notNull())
    .addColumn('endsAt', 'bigint', (c) => c.notNull())
    .execute()
  await db.schema.createIndex('tallies_end').on('tallies').column('endsAt').execute()
}
