import { type Kysely, sql } from 'kysely'

/** What a user's unfinished uploads come to is counted whenever one begins: here, and in no row of them. */
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
