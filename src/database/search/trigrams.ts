import { sql } from 'kysely'
import type { Db } from '../database.ts'

/**
 * On PostgreSQL with pg_trgm, a rare part of a name is found without looking at all names; without the extension, or the right
 * to have it, `contains` is as true and as slow as in SQLite.
 */
export async function indexPartsOfNames(db: Db): Promise<void> {
  await sql`DO $$ BEGIN CREATE EXTENSION IF NOT EXISTS pg_trgm;
    EXCEPTION WHEN OTHERS THEN NULL; END $$`.execute(db)
  await sql`DO $$ BEGIN
    IF EXISTS (SELECT FROM pg_opclass WHERE opcname = 'gin_trgm_ops' AND pg_opclass_is_visible(oid))
    THEN CREATE INDEX IF NOT EXISTS "entries_trigrams" ON "entries" USING gin ("nameKey" gin_trgm_ops)
      WITH (fastupdate = off);
    END IF; END $$`.execute(db)
}
