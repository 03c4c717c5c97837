import { sql } from 'kysely'
import type { Db } from './database.ts'
import type { Tx } from './transaction.ts'

/** Sequences of words; a phrase is found inside of one. */
export type Phrases = readonly (readonly string[])[]
const texts = ['name', 'description', 'metadata', 'tag'] as const
export type TextField = (typeof texts)[number]

/** What is found by its words and by its keys (words with digits and letters of ASCII alone, the same in all workspaces). */
export type Document = { id: string; workspaceId: string; keys: readonly string[] } & {
  [field in TextField]?: Phrases
}

/** What documents must be like: words that follow each other in one of the fields, or one of the keys, or made of such. */
export type Expression =
  | { all: Expression[] }
  | { any: Expression[] }
  | { from: Expression; without: Expression }
  | { fields: readonly TextField[]; words: readonly string[]; prefix: boolean }
  | { keys: readonly string[] }

/** Documents are found in the order of their numbers, newest first; a document that is put again keeps its number. */
export type Found = { number: number; id: string }

/** Makes the index, empty. What one or two characters begin has lists of its own, behind the workspace's mark. */
export async function createSearchIndex(db: Db): Promise<void> {
  await sql`DROP TABLE IF EXISTS "searchWords"`.execute(db)
  await sql`DROP TABLE IF EXISTS "searchDocuments"`.execute(db)
  await sql`CREATE TABLE "searchDocuments" (
    "number" INTEGER PRIMARY KEY AUTOINCREMENT, "id" TEXT NOT NULL UNIQUE)`.execute(db)
  await sql`CREATE VIRTUAL TABLE "searchWords" USING fts5(
    "name", "description", "metadata", "tag", "keys", content='', contentless_delete=1,
    tokenize="ascii tokenchars '_'", prefix='14 15')`.execute(db)
}

/** Puts documents in the index, in the place of those with their ids. */
export async function putDocuments(db: Db | Tx, documents: readonly Document[]): Promise<void> {
  if (documents.length === 0) return
  const ids = documents.map(({ id }) => id)
  await db
    .insertInto('searchDocuments')
    .values(ids.map((id) => ({ id })))
    .onConflict((c) => c.doNothing())
    .execute()
  const numbers = await numbersOf(db, ids)
  const rows = documents.map((document) => rowOf(document, numbers.get(document.id) ?? 0))
  await sql`REPLACE INTO "searchWords" ("rowid", "name", "description", "metadata", "tag", "keys")
    VALUES ${sql.join(rows)}`.execute(db)
}

/** Takes documents out of the index; those that are not there are no fault. */
export async function dropDocuments(db: Db | Tx, ids: readonly string[]): Promise<void> {
  if (ids.length === 0) return
  const numbers = await numbersOf(db, ids)
  if (numbers.size === 0) return
  await sql`DELETE FROM "searchWords" WHERE "rowid" IN (${sql.join([...numbers.values()])})`.execute(
    db,
  )
  await db.deleteFrom('searchDocuments').where('id', 'in', ids).execute()
}

async function numbersOf(db: Db | Tx, ids: readonly string[]): Promise<Map<string, number>> {
  const rows = await db.selectFrom('searchDocuments').selectAll().where('id', 'in', ids).execute()
  return new Map(rows.map(({ id, number }) => [id, number]))
}

function rowOf({ workspaceId, keys, ...fields }: Document, number: number) {
  const columns = texts.map((field) => text(workspaceId, fields[field] ?? []))
  return sql`(${sql.join([number, ...columns, keys.join(' ')])})`
}

/** Between sequences stands a word that nobody can ask for, so that no phrase reaches from one into the next. */
const text = (workspaceId: string, phrases: Phrases) =>
  phrases.map((words) => marked(workspaceId, words)).join(' _ ')

/** Each word wears its workspace's mark: the words of others are other words, and cost nothing. */
const marked = (workspaceId: string, words: readonly string[]) =>
  words.map((word) => `${workspaceId.slice(-12)}_${word}`).join(' ')

/** At most `limit` documents of a workspace that are like `expression`, with numbers below `below`, the highest first. */
export async function findDocuments(
  db: Db | Tx,
  workspaceId: string,
  expression: Expression,
  { below = Number.MAX_SAFE_INTEGER, limit }: { below?: number; limit: number },
): Promise<Found[]> {
  const match = written(workspaceId, expression)
  if (match === null) return []
  const { rows } = await sql<Found>`SELECT d."number", d."id" FROM "searchWords" w
    CROSS JOIN "searchDocuments" d ON d."number" = w."rowid"
    WHERE w."searchWords" MATCH ${match} AND w."rowid" < ${below}
    ORDER BY w."rowid" DESC LIMIT ${limit}`.execute(db)
  return rows
}

/** The expression as FTS5 reads it, every word in quotes; null for what nothing can be like. */
function written(workspaceId: string, expression: Expression): string | null {
  const part = (inner: Expression) => written(workspaceId, inner)
  if ('keys' in expression) {
    const keys = expression.keys.map((key) => `"${key}"`).join(' OR ')
    return keys === '' ? null : `{keys} : (${keys})`
  }
  if ('words' in expression) {
    const { fields, words, prefix } = expression
    return `{${fields.join(' ')}} : "${marked(workspaceId, words)}"${prefix ? ' *' : ''}`
  }
  if ('from' in expression) {
    const [from, without] = [part(expression.from), part(expression.without)]
    return from && without ? `(${from}) NOT (${without})` : from
  }
  const parts = 'all' in expression ? expression.all.map(part) : expression.any.map(part)
  if ('all' in expression && parts.includes(null)) return null
  const known = parts.filter((text) => text !== null)
  const sign = 'all' in expression ? ' AND ' : ' OR '
  return known.length === 0 ? null : known.map((text) => `(${text})`).join(sign)
}
