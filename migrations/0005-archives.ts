import type { Kysely } from 'kysely'

/** CRC-32 of blobs, computed when an archive first needs it; deleted with the blob. */
export async function up(db: Kysely<unknown>) {
  await db.schema
    .createTable('blobCrcs')
    .addColumn('blobId', 'text', (c) => c.primaryKey().references('blobs.id').onDelete('cascade'))
    .addColumn('crc32', 'bigint', (c) => c.notNull())
    .execute()
}
