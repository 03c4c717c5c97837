import { type Kysely, sql } from 'kysely'

/** Adds the upload that a file or version was created from. */
export async function up(db: Kysely<unknown>) {
  await db.schema
    .createIndex('uploads_fileId_confirmedAt')
    .on('uploads')
    .columns(['fileId', 'confirmedAt'])
    .where(sql<boolean>`"fileId" IS NOT NULL`)
    .execute()
}
