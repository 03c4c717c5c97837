import { type Kysely, sql } from 'kysely'

/** Index for the total of a user's unfinished uploads, which is computed whenever one is created. */
export async function up(db: Kysely<unknown>) {
  await db.schema
    .createIndex('uploads_unfinished')
    .on('uploads')
    .columns(['createdBy', 'status', 'joinedInto', 'reservedBytes'])
    .where(
      sql<boolean>`"status" IN ('CREATED', 'RECEIVING', 'RECEIVED', 'PROCESSING') AND "joinedInto" IS NULL`,
    )
    .execute()
}
