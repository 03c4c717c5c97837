import { sql } from 'kysely'
import { type Db, isPostgres } from '../database.ts'
import { vectorOf } from '../postgres/search-vector.ts'
import { type Document, sequencesOf } from './document.ts'

/** Returns the ids that are not in the index. */
export async function missingDocuments(db: Db, ids: readonly string[]): Promise<string[]> {
  const rows = await db.selectFrom('searchDocuments').select('id').where('id', 'in', ids).execute()
  const known = new Set(rows.map(({ id }) => id))
  return ids.filter((id) => !known.has(id))
}

/**
 * Returns the ids of the documents that are missing or differ in the index. On SQLite, only missing words are
 * detected.
 */
export const staleDocuments = (db: Db, documents: readonly Document[]): Promise<string[]> =>
  isPostgres(db) ? findDiffering(db, documents) : findIncomplete(db, documents)

async function findDiffering(db: Db, documents: readonly Document[]): Promise<string[]> {
  const stale: string[] = []
  // One by one: a document may have a million characters.
  for (const document of documents) {
    const { rows } = await sql`SELECT 1 FROM "searchDocuments" WHERE "id" = ${document.id}
      AND ts_delete("words", ${keysOfDeletedTags}) = ${vectorOf(document)}::tsvector`.execute(db)
    if (rows.length === 0) stale.push(document.id)
  }
  return stale
}

/** Keys of deleted tags stay in the index: no search uses them, and no other tag will have them. */
const keysOfDeletedTags = sql`ARRAY(SELECT "lexeme" FROM unnest("words")
  WHERE "lexeme" ~ '^tag[0-9a-f]{16}$'
  AND "lexeme" NOT IN (SELECT 'tag' || right("id", 16) FROM "tags"))`

const WORD_BATCH_SIZE = 50

async function findIncomplete(db: Db, documents: readonly Document[]): Promise<string[]> {
  const ids = documents.map(({ id }) => id)
  const rows = await db.selectFrom('searchDocuments').selectAll().where('id', 'in', ids).execute()
  const numbers = new Map(rows.map(({ id, number }) => [id, number]))
  const stale: string[] = []
  for (const document of documents) {
    const number = numbers.get(document.id)
    if (number === undefined || !(await hasAll(db, number, wordsOf(document))))
      stale.push(document.id)
  }
  return stale
}

const wordsOf = (document: Document) => [
  ...new Set([...sequencesOf(document).flat(), ...document.keys]),
]

async function hasAll(db: Db, number: number, words: string[]): Promise<boolean> {
  for (let i = 0; i < words.length; i += WORD_BATCH_SIZE) {
    const batch = words.slice(i, i + WORD_BATCH_SIZE).map((word) => `"${word}"`)
    const { rows } = await sql`SELECT 1 FROM "searchWords"
      WHERE "searchWords" MATCH ${batch.join(' AND ')} AND "rowid" = ${number}`.execute(db)
    if (rows.length === 0) return false
  }
  return true
}
