import type { Kysely } from 'kysely'
import { createSearchIndex } from '../src/database/search.ts'
import type { Tables } from '../src/database/tables.ts'
import { indexAll } from '../src/domains/search/writes.ts'

/** The index of search, over what is there. Cut short, it begins anew. */
export async function up(db: Kysely<Tables>) {
  await createSearchIndex(db)
  await indexAll(db)
}
