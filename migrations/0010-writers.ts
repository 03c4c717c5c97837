import type { Kysely } from 'kysely'

/** Which process writes the bytes of an upload at this moment, and until when: several may be asked to. */
export async function up(db: Kysely<unknown>) {
  await db.schema.alterTable('uploads').addColumn('writer', 'text').execute()
  await db.schema.alterTable('uploads').addColumn('writerUntil', 'bigint').execute()
  await db.schema
    .alterTable('uploads')
    .addColumn('turn', 'bigint', (c) => c.notNull().defaultTo(0))
    .execute()
}
