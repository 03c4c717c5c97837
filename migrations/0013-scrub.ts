import { type Kysely, sql } from 'kysely'

/** When the bytes of a blob were last read completely (0 if unknown), and the damage that was found. */
export async function up(db: Kysely<unknown>) {
  await db.schema
    .alterTable('blobs')
    .addColumn('verifiedAt', 'bigint', (c) => c.notNull().defaultTo(0))
    .execute()
  await db.schema.alterTable('blobs').addColumn('damage', 'text').execute()
  await db.schema
    .createIndex('blobs_only_verifiedAt_id')
    .on('blobs')
    .columns(['verifiedAt', 'id'])
    .where(sql<boolean>`"unreferencedAt" IS NULL`)
    .execute()
  await db.schema
    .createIndex('blobs_only_damage')
    .on('blobs')
    .columns(['damage'])
    .where(sql<boolean>`"damage" IS NOT NULL`)
    .execute()
}
