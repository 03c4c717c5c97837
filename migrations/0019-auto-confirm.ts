import { type Kysely, sql } from 'kysely'

/** The error that ended automatic confirmation of an upload, and an index of uploads that still await it. */
export async function up(db: Kysely<unknown>) {
  await db.schema.alterTable('uploads').addColumn('confirmRefusal', 'text').execute()
  await db.schema
    .createIndex('uploads_awaiting_confirm')
    .on('uploads')
    .column('id')
    .where(sql<boolean>`"status" = 'RECEIVED' AND "autoConfirm" = 1 AND "confirmRefusal" IS NULL`)
    .execute()
}
