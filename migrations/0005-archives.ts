import type { Kysely } from 'kysely'

/** The CRC-32 of bytes, once an archive had to know it: it goes with the bytes. */
export async function up(db: Kysely<unknown>) {
  await db.schema
    .createTable('blobCrcs')
    .addColumn('blobId', 'text', (c) => c.primaryKey().references('blobs.id').onDelete('cascade'))
    .addColumn('crc32', 'bigint', (c) => c.notNull())
    .execute()
}
