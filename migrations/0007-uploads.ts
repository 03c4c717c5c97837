import type { Kysely } from 'kysely'

/** By which door the bytes of an upload come, and which uploads are joined to which. */
export async function up(db: Kysely<unknown>) {
  await db.schema
    .alterTable('uploads')
    .addColumn('transport', 'text', (c) => c.notNull().defaultTo('TUS'))
    .execute()
  await db.schema.alterTable('uploads').addColumn('concat', 'text').execute()
  await db.schema.alterTable('uploads').addColumn('joinedInto', 'text').execute()
}
