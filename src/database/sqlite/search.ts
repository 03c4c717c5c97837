import { sql } from 'kysely'
import type { Db } from '../database.ts'
import {
  type Document,
  type Expression,
  type Found,
  marked,
  type Range,
  sequencesOf,
} from '../search/document.ts'
import type { Tx } from '../transaction.ts'

/**
 * Creates the empty index, with prefix indexes for one to three characters after the 14 characters of the
 * mark.
 */
export async function createSearchIndex(db: Db): Promise<void> {
  await sql`DROP TABLE IF EXISTS "searchWords"`.execute(db)
  await sql`DROP TABLE IF EXISTS "searchDocuments"`.execute(db)
  await sql`CREATE TABLE "searchDocuments" (
    "number" INTEGER PRIMARY KEY AUTOINCREMENT, "id" TEXT NOT NULL UNIQUE)`.execute(db)
  await sql`CREATE VIRTUAL TABLE "searchWords" USING fts5("words", content='', contentless_delete=1,
    tokenize="ascii tokenchars '_'", prefix='15 16 17')`.execute(db)
}

export async function putDocuments(db: Db | Tx, documents: readonly Document[]): Promise<void> {
  const ids = documents.map(({ id }) => id)
  await db
    .insertInto('searchDocuments')
    .values(ids.map((id) => ({ id })))
    .onConflict((c) => c.doNothing())
    .execute()
  const numbers = await numbersOf(db, ids)
  const rows = documents.map(
    (document) => sql`(${numbers.get(document.id) ?? 0}, ${textOf(document)})`,
  )
  await sql`REPLACE INTO "searchWords" ("rowid", "words") VALUES ${sql.join(rows)}`.execute(db)
}

export async function dropDocuments(db: Db | Tx, ids: readonly string[]): Promise<void> {
  const numbers = [...(await numbersOf(db, ids)).values()]
  if (numbers.length === 0) return
  await sql`DELETE FROM "searchWords" WHERE "rowid" IN (${sql.join(numbers)})`.execute(db)
  await db.deleteFrom('searchDocuments').where('id', 'in', ids).execute()
}

async function numbersOf(db: Db | Tx, ids: readonly string[]): Promise<Map<string, number>> {
  const rows = await db.selectFrom('searchDocuments').selectAll().where('id', 'in', ids).execute()
  return new Map(rows.map(({ id, number }) => [id, number]))
}

/** Joins sequences with a word that no search can contain, so that no phrase spans two sequences. */
const textOf = (document: Document): string =>
  [...sequencesOf(document).map((words) => words.join(' ')), document.keys.join(' ')].join(' _ ')

export async function findDocuments(
  db: Db | Tx,
  workspaceId: string,
  expression: Expression,
  { below = Number.MAX_SAFE_INTEGER, limit }: Range,
): Promise<Found[]> {
  const match = toMatchQuery(workspaceId, expression)
  if (match === null) return []
  const { rows } = await sql<Found>`SELECT d."number", d."id" FROM "searchWords" w
    CROSS JOIN "searchDocuments" d ON d."number" = w."rowid"
    WHERE w."searchWords" MATCH ${match} AND w."rowid" < ${below}
    ORDER BY w."rowid" DESC LIMIT ${limit}`.execute(db)
  return rows
}

/** Returns the expression as an FTS5 query with all words quoted, or null if no document can match it. */
function toMatchQuery(workspaceId: string, expression: Expression): string | null {
  const part = (inner: Expression) => toMatchQuery(workspaceId, inner)
  if ('keys' in expression) return either(expression.keys.map((key) => `"${key}"`))
  if ('words' in expression) {
    const { fields, words, prefix } = expression
    const phrases = fields.map((field) => `"${marked(workspaceId, field, words).join(' ')}"`)
    return either(phrases.map((phrase) => (prefix ? `${phrase} *` : phrase)))
  }
  if ('from' in expression) {
    const [from, without] = [part(expression.from), part(expression.without)]
    return from && without ? `(${from}) NOT (${without})` : from
  }
  if ('any' in expression) return either(expression.any.map(part).filter((text) => text !== null))
  const parts = expression.all.map(part)
  return parts.includes(null) ? null : parts.map((text) => `(${text})`).join(' AND ') || null
}

const either = (parts: string[]) => parts.map((text) => `(${text})`).join(' OR ') || null
