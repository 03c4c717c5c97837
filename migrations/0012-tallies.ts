import type { Kysely } from 'kysely'

/** What has been taken of each minute of RATE_LIMIT, where several processes count together. */
export async function up(db: Kysely<unknown>) {
  await db.schema
    .createTable('tallies')
    .addColumn('key', 'text', (c) => c.primaryKey())
    .addColumn('points', 'bigint', (c) => c.notNull())
    .addColumn('endsAt', 'bigint', (c) => c.notNull())
    .execute()
  await db.schema.createIndex('tallies_end').on('tallies').column('endsAt').execute()
}
