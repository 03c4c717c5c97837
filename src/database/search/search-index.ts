import { type Db, isPostgres } from '../database.ts'
import * as postgres from '../postgres/search.ts'
import * as sqlite from '../sqlite/search.ts'
import type { Tx } from '../transaction.ts'
import type { Document, Expression, Found, Phrases, Range, TextField } from './document.ts'

export type { Document, Expression, Found, Phrases, TextField }

const engine = (db: Db | Tx) => (isPostgres(db) ? postgres : sqlite)

/** Creates the empty index, and drops an existing one. */
export const createSearchIndex = (db: Db): Promise<void> => engine(db).createSearchIndex(db)

/** Adds documents to the index, and replaces those with the same ids. */
export async function putDocuments(db: Db | Tx, documents: readonly Document[]): Promise<void> {
  if (documents.length > 0) await engine(db).putDocuments(db, documents)
}

/** Removes documents from the index; ids that it does not have are ignored. */
export async function dropDocuments(db: Db | Tx, ids: readonly string[]): Promise<void> {
  if (ids.length > 0) await engine(db).dropDocuments(db, ids)
}

/** Returns the documents of a workspace that match `expression`, sorted by descending number. */
export const findDocuments = (
  db: Db | Tx,
  workspaceId: string,
  expression: Expression,
  range: Range,
): Promise<Found[]> => engine(db).findDocuments(db, workspaceId, expression, range)
