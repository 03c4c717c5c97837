import { type Kysely, sql } from 'kysely'

/** Index of contents that more than one version refers to: only these can be duplicates. */
export async function up(db: Kysely<unknown>) {
  await db.schema
    .createIndex('blobs_shared')
    .on('blobs')
    .columns(['workspaceId', 'sha256'])
    .where(sql<boolean>`"refs" > 1`)
    .execute()
}
