import { sql } from 'kysely'
import type { Db } from '../database.ts'

/**
 * Creates a trigram index of names on PostgreSQL, by which `contains` finds rare parts of names without
 * scanning all names. Without pg_trgm, or permission to create it, `contains` gives the same results, but as
 * slowly as on SQLite.
 */
export async function createTrigramIndexes(db: Db): Promise<void> {
  await sql`DO $$ BEGIN CREATE EXTENSION IF NOT EXISTS pg_trgm;
    EXCEPTION WHEN OTHERS THEN NULL; END $$`.execute(db)
  await sql`DO $$ BEGIN
    IF EXISTS (SELECT FROM pg_opclass WHERE opcname = 'gin_trgm_ops' AND pg_opclass_is_visible(oid))
    THEN CREATE INDEX IF NOT EXISTS "entries_trigrams" ON "entries" USING gin ("nameKey" gin_trgm_ops)
      WITH (fastupdate = off);
    END IF; END $$`.execute(db)
}
