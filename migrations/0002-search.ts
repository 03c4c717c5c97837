import type { Kysely } from 'kysely'
import { isPostgres } from '../src/database/database.ts'
import { createSearchIndex } from '../src/database/search/search-index.ts'
import { indexPartsOfNames } from '../src/database/search/trigrams.ts'
import type { Tables } from '../src/database/tables.ts'
import { indexAll } from '../src/domains/search/writes.ts'

/** The index of search, over what is there. Cut short, it begins anew. */
export async function up(db: Kysely<Tables>) {
  await createSearchIndex(db)
  await indexAll(db)
  if (isPostgres(db)) await indexPartsOfNames(db)
}
