import type { Kysely } from 'kysely'
import { isPostgres } from '../src/database/database.ts'
import { createSearchIndex } from '../src/database/search/search-index.ts'
import { createTrigramIndexes } from '../src/database/search/trigrams.ts'
import type { Tables } from '../src/database/tables.ts'
import { indexAll } from '../src/domains/search/writes.ts'

/** Creates the search index and fills it with existing entries. If interrupted, it starts again. */
export async function up(db: Kysely<Tables>) {
  await createSearchIndex(db)
  await indexAll(db)
  if (isPostgres(db)) await createTrigramIndexes(db)
}
