import { type Db, isPostgres } from '../database.ts'
import * as postgres from '../postgres/search.ts'
import * as sqlite from '../sqlite/search.ts'
import type { Tx } from '../transaction.ts'
import type { Document, Expression, Found, Phrases, Range, TextField } from './document.ts'

export type { Document, Expression, Found, Phrases, TextField }

const engine = (db: Db | Tx) => (isPostgres(db) ? postgres : sqlite)

/** Makes the index, empty. */
export const createSearchIndex = (db: Db): Promise<void> => engine(db).createSearchIndex(db)

/** Puts documents in the index, in the place of those with their ids. */
export async function putDocuments(db: Db | Tx, documents: readonly Document[]): Promise<void> {
  if (documents.length > 0) await engine(db).putDocuments(db, documents)
}

/** Takes documents out of the index; those that are not there are no fault. */
export async function dropDocuments(db: Db | Tx, ids: readonly string[]): Promise<void> {
  if (ids.length > 0) await engine(db).dropDocuments(db, ids)
}

/** The documents of a workspace that are like `expression`, the highest number first. */
export const findDocuments = (
  db: Db | Tx,
  workspaceId: string,
  expression: Expression,
  range: Range,
): Promise<Found[]> => engine(db).findDocuments(db, workspaceId, expression, range)
