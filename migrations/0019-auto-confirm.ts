import { type Kysely, sql } from 'kysely'

/** Why an upload that was to confirm itself no longer tries to, and an index of those that still do. */
export async function up(db: Kysely<unknown>) {
  await db.schema.alterTable('uploads').addColumn('confirmRefusal', 'text').execute()
  await db.schema
    .createIndex('uploads_awaiting_confirm')
    .on('uploads')
    .column('id')
    .where(sql<boolean>`"status" = 'RECEIVED' AND "autoConfirm" = 1 AND "confirmRefusal" IS NULL`)
    .execute()
}
