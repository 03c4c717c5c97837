import type { ColumnDefinitionBuilder, Kysely } from 'kysely'

const required = (column: ColumnDefinitionBuilder) => column.notNull()

/** State of multipart uploads to a bucket; listing the parts in the bucket would be slow. */
export async function up(db: Kysely<unknown>) {
  await db.schema
    .createTable('multiparts')
    .addColumn('key', 'text', (c) => c.primaryKey())
    .addColumn('size', 'bigint')
    .addColumn('partSize', 'bigint', required)
    .addColumn('multipartId', 'text')
    .addColumn('turn', 'bigint', required)
    .addColumn('length', 'bigint', required)
    .addColumn('inParts', 'bigint', required)
    .addColumn('whole', 'text')
    .addColumn('modifiedAt', 'bigint', required)
    .execute()
  await db.schema
    .createTable('multipartParts')
    .addColumn('key', 'text', required)
    .addColumn('number', 'integer', required)
    .addColumn('etag', 'text', required)
    .addColumn('size', 'bigint', required)
    .addPrimaryKeyConstraint('multipartParts_pk', ['key', 'number'])
    .execute()
  await db.schema
    .createTable('multipartTails')
    .addColumn('key', 'text', required)
    .addColumn('name', 'text', required)
    .addColumn('start', 'bigint', required)
    .addColumn('size', 'bigint', required)
    .addPrimaryKeyConstraint('multipartTails_pk', ['key', 'name'])
    .execute()
}
