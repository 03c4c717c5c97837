import type { Kysely } from 'kysely'

/** The modification time of the content on the client: of uploads, versions and, for sorting, of files. */
export async function up(db: Kysely<unknown>) {
  for (const table of ['entries', 'versions', 'uploads']) {
    await db.schema.alterTable(table).addColumn('contentModifiedAt', 'bigint').execute()
  }
  for (const owner of ['parentId', 'workspaceId']) {
    const columns = [owner, 'kind', 'contentModifiedAt', 'id']
    await db.schema
      .createIndex(['entries', ...columns].join('_'))
      .on('entries')
      .columns(columns)
      .execute()
  }
}
