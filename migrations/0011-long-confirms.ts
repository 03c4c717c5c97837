import type { Kysely } from 'kysely'

/** The job that resumes the confirm of an upload. */
export async function up(db: Kysely<unknown>) {
  await db.schema.alterTable('uploads').addColumn('confirmJob', 'text').execute()
}
