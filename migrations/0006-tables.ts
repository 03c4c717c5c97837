import { type ColumnDefinitionBuilder, type Kysely, sql } from 'kysely'

const required = (column: ColumnDefinitionBuilder) => column.notNull()

/**
 * Linked tables: the catalog, the cells that contain paths of files, and the rows in the trash with an entry.
 */
export async function up(db: Kysely<unknown>) {
  await userTables(db)
  await rowLinks(db)
  await takenRows(db)
}

async function userTables(db: Kysely<unknown>) {
  await db.schema
    .createTable('userTables')
    .addColumn('sqlName', 'text', (c) => c.primaryKey())
    .addColumn('workspaceId', 'text', (c) => c.references('workspaces.id'))
    .addColumn('name', 'text', required)
    .addColumn('nameKey', 'text', required)
    .addColumn('keyColumn', 'text', required)
    .addColumn('columns', 'text', required)
    .addColumn('letIn', 'integer', required)
    .addColumn('createdAt', 'bigint', required)
    .execute()
  await index(db, 'userTables', ['workspaceId', 'nameKey'])
}

async function rowLinks(db: Kysely<unknown>) {
  await db.schema
    .createTable('rowLinks')
    .addColumn('workspaceId', 'text', (c) => c.notNull().references('workspaces.id'))
    .addColumn('sqlName', 'text', required)
    .addColumn('rowKey', 'bigint', required)
    .addColumn('column', 'text', required)
    .addColumn('fileId', 'text', required)
    .addColumn('path', 'text', required)
    .addColumn('uploadId', 'text')
    .addPrimaryKeyConstraint('rowLinks_cell', ['sqlName', 'rowKey', 'column'])
    .execute()
  await index(db, 'rowLinks', ['fileId'])
  await index(db, 'rowLinks', ['workspaceId', 'path'])
  await index(db, 'rowLinks', ['workspaceId', 'sqlName', 'rowKey'])
  await index(db, 'rowLinks', ['uploadId'], sql`"uploadId" IS NOT NULL`)
}

async function takenRows(db: Kysely<unknown>) {
  await db.schema
    .createTable('takenRows')
    .addColumn('entryId', 'text', required)
    .addColumn('sqlName', 'text', required)
    .addColumn('rowKey', 'bigint', required)
    .addColumn('column', 'text', required)
    .addColumn('row', 'text', required)
    .addColumn('links', 'text', required)
    .execute()
  await index(db, 'takenRows', ['entryId'])
}

/** Creates an index named after its columns; `only` makes it partial. */
async function index(
  db: Kysely<unknown>,
  table: string,
  columns: string[],
  only?: ReturnType<typeof sql>,
) {
  const name = [table, ...(only ? ['only'] : []), ...columns].join('_')
  const made = db.schema.createIndex(name).on(table).columns(columns)
  await (only ? made.where(only as ReturnType<typeof sql<boolean>>) : made).execute()
}
