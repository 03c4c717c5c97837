import { type Kysely, sql } from 'kysely'

/** An ADMIN_TOKEN is chosen by people: its first characters, which the version before stored, may say much of the rest. */
export async function up(db: Kysely<unknown>) {
  await sql`UPDATE "apiTokens" SET "prefix" = '' WHERE "prefix" NOT LIKE 'hld\\_%' ESCAPE '\\'`.execute(
    db,
  )
}
