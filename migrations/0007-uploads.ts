import type { Kysely } from 'kysely'

/** The protocol by which the bytes of an upload arrive, and the parts of concatenated uploads. */
export async function up(db: Kysely<unknown>) {
  await db.schema
    .alterTable('uploads')
    .addColumn('transport', 'text', (c) => c.notNull().defaultTo('TUS'))
    .execute()
  await db.schema.alterTable('uploads').addColumn('concat', 'text').execute()
  await db.schema.alterTable('uploads').addColumn('joinedInto', 'text').execute()
}
