import type { Kysely } from 'kysely'

/** Share links, which give access to an entry, and the downloads started through them. */
export async function up(db: Kysely<unknown>) {
  await db.schema
    .createTable('shareLinks')
    .addColumn('id', 'text', (c) => c.primaryKey())
    .addColumn('workspaceId', 'text', (c) => c.notNull().references('workspaces.id'))
    .addColumn('entryId', 'text', (c) => c.notNull().references('entries.id'))
    .addColumn('passwordHash', 'text')
    .addColumn('failures', 'integer', (c) => c.notNull().defaultTo(0))
    .addColumn('lockedUntil', 'bigint', (c) => c.notNull().defaultTo(0))
    .addColumn('expiresAt', 'bigint')
    .addColumn('maxDownloads', 'integer')
    .addColumn('downloadCount', 'integer', (c) => c.notNull().defaultTo(0))
    .addColumn('createdAt', 'bigint', (c) => c.notNull())
    .addColumn('createdBy', 'text')
    .execute()
  await db.schema
    .createIndex('shareLinks_workspaceId_createdAt_id')
    .on('shareLinks')
    .columns(['workspaceId', 'createdAt', 'id'])
    .execute()
  await db.schema
    .createIndex('shareLinks_entryId_createdAt_id')
    .on('shareLinks')
    .columns(['entryId', 'createdAt', 'id'])
    .execute()
  await db.schema
    .createTable('shareDownloads')
    .addColumn('shareLinkId', 'text', (c) =>
      c.notNull().references('shareLinks.id').onDelete('cascade'),
    )
    .addColumn('link', 'text', (c) => c.notNull())
    .addColumn('beganAt', 'bigint', (c) => c.notNull())
    .addColumn('resumedBytes', 'bigint', (c) => c.notNull().defaultTo(0))
    .addPrimaryKeyConstraint('shareDownloads_key', ['shareLinkId', 'link'])
    .execute()
}
