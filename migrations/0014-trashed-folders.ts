import { type Kysely, sql } from 'kysely'

/**
 * Index of folders trashed with a folder, by path, so that a large tree is restored and purged in batches.
 */
export async function up(db: Kysely<unknown>) {
  await db.schema.dropIndex('entries_only_trashRootId').execute()
  await db.schema
    .createIndex('entries_only_trashRootId_pathKey')
    .on('entries')
    .columns(['trashRootId', 'pathKey'])
    .where(sql<boolean>`"trashRootId" IS NOT NULL`)
    .execute()
}
