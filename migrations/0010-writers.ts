import type { Kysely } from 'kysely'

/** Write leases of uploads: the process that writes, and the end of its lease. */
export async function up(db: Kysely<unknown>) {
  await db.schema.alterTable('uploads').addColumn('writer', 'text').execute()
  await db.schema.alterTable('uploads').addColumn('writerUntil', 'bigint').execute()
  await db.schema
    .alterTable('uploads')
    .addColumn('turn', 'bigint', (c) => c.notNull().defaultTo(0))
    .execute()
}
