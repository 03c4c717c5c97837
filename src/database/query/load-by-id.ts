import { alignToIds, type Db } from '../database.ts'
import type { Row } from '../tables.ts'
import type { Tx } from '../transaction.ts'
import { prepared } from './prepared.ts'

type Table = 'users' | 'apiTokens' | 'workspaces' | 'versions' | 'uploads' | 'tags' | 'activity'
type ById<T extends Table> = (db: Db | Tx, ids: readonly string[]) => Promise<(Row<T> | null)[]>

/** The way to rows of `table` by their ids: in the order of the ids, null where an id has no row. */
export function rowsById<T extends Table>(table: T): ById<T> {
  // Kysely wants one table; what is done here any of them bears, for they all have an id.
  const among = prepared((db, ids: readonly string[]) =>
    db
      .selectFrom(table as 'users')
      .selectAll()
      .where('id', 'in', ids),
  )
  const byId: ById<'users'> = async (db, ids) => alignToIds(ids, await among(db, ids))
  return byId as unknown as ById<T>
}
