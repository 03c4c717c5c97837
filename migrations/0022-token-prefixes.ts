import { type Kysely, sql } from 'kysely'

/**
 * Clears the prefixes of ADMIN_TOKENs: people choose them, and the first characters may disclose the rest.
 */
export async function up(db: Kysely<unknown>) {
  await sql`UPDATE "apiTokens" SET "prefix" = '' WHERE "prefix" NOT LIKE 'hld\\_%' ESCAPE '\\'`.execute(
    db,
  )
}
