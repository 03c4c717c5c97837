import { sql } from 'kysely'
import type { Db } from './database.ts'
import type { Tx } from './transaction.ts'

/** Sequences of words; a phrase is found inside of one. */
export type Phrases = readonly (readonly string[])[]
/** Each field's words are words of their own, so that what is common in one costs nothing in another. */
const letters = { name: 'n', description: 'd', metadata: 'm', folder: 'f', tag: 't' } as const
export type TextField = keyof typeof letters

/** What is found by its words and by its keys (letters and digits of ASCII alone, the same in all workspaces). */
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

/** Makes the index, empty. What one to three characters begin has lists of its own, behind the 14 of the mark. */
export async function createSearchIndex(db: Db): Promise<void> {
  await sql`DROP TABLE IF EXISTS "searchWords"`.execute(db)
  await sql`DROP TABLE IF EXISTS "searchDocuments"`.execute(db)
  await sql`CREATE TABLE "searchDocuments" (
    "number" INTEGER PRIMARY KEY AUTOINCREMENT, "id" TEXT NOT NULL UNIQUE)`.execute(db)
  await sql`CREATE VIRTUAL TABLE "searchWords" USING fts5("words", content='', contentless_delete=1,
    tokenize="ascii tokenchars '_'", prefix='15 16 17')`.execute(db)
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
  const rows = documents.map(
    (document) => sql`(${numbers.get(document.id) ?? 0}, ${textOf(document)})`,
  )
  await sql`REPLACE INTO "searchWords" ("rowid", "words") VALUES ${sql.join(rows)}`.execute(db)
}

/** Takes documents out of the index; those that are not there are no fault. */
export async function dropDocuments(db: Db | Tx, ids: readonly string[]): Promise<void> {
  if (ids.length === 0) return
  const numbers = [...(await numbersOf(db, ids)).values()]
  if (numbers.length === 0) return
  await sql`DELETE FROM "searchWords" WHERE "rowid" IN (${sql.join(numbers)})`.execute(db)
  await db.deleteFrom('searchDocuments').where('id', 'in', ids).execute()
}

async function numbersOf(db: Db | Tx, ids: readonly string[]): Promise<Map<string, number>> {
  const rows = await db.selectFrom('searchDocuments').selectAll().where('id', 'in', ids).execute()
  return new Map(rows.map(({ id, number }) => [id, number]))
}

/** Between sequences stands a word that nobody can ask for, so that no phrase reaches from one into the next. */
function textOf({ workspaceId, keys, ...fields }: Document): string {
  const sequences = Object.keys(letters).flatMap((name) => {
    const field = name as TextField
    return (fields[field] ?? []).map((words) => marked(workspaceId, field, words))
  })
  return [...sequences, keys.join(' ')].join(' _ ')
}

/** Each word wears the mark of its field and its workspace: the words of others are other words, and cost nothing. */
const marked = (workspaceId: string, field: TextField, words: readonly string[]) =>
  words.map((word) => `${letters[field]}${workspaceId.slice(-12)}_${word}`).join(' ')

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

/** The expression as FTS5 reads it, all words in quotes; null for what nothing can be like. */
function written(workspaceId: string, expression: Expression): string | null {
  const part = (inner: Expression) => written(workspaceId, inner)
  if ('keys' in expression) return either(expression.keys.map((key) => `"${key}"`))
  if ('words' in expression) {
    const { fields, words, prefix } = expression
    const phrases = fields.map((field) => `"${marked(workspaceId, field, words)}"`)
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
