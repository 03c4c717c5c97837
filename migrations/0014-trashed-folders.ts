import { type Kysely, sql } from 'kysely'

/** What went to the trash with a folder, in the order of paths: a long list is restored, and taken away, part by part. */
export async function up(db: Kysely<unknown>) {
  await db.schema.dropIndex('entries_only_trashRootId').execute()
  await db.schema
    .createIndex('entries_only_trashRootId_pathKey')
    .on('entries')
    .columns(['trashRootId', 'pathKey'])
    .where(sql<boolean>`"trashRootId" IS NOT NULL`)
    .execute()
}
