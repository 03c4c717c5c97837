import { alignToIds, type Db } from '../database.ts'
import type { Row } from '../tables.ts'
import type { Tx } from '../transaction.ts'
import { prepared } from './prepared.ts'

type Table = 'users' | 'apiTokens' | 'workspaces' | 'versions' | 'uploads' | 'tags' | 'activity'
type ById<T extends Table> = (db: Db | Tx, ids: readonly string[]) => Promise<(Row<T> | null)[]>

/**
 * Creates a loader of rows of `table` by id: it returns them in the order of the ids, null if an id has no
 * row.
 */
export function rowsById<T extends Table>(table: T): ById<T> {
  // Kysely's types need a single table; all of these tables have an id.
  const selectByIds = prepared((db, ids: readonly string[]) =>
    db
      .selectFrom(table as 'users')
      .selectAll()
      .where('id', 'in', ids),
  )
  const byId: ById<'users'> = async (db, ids) => alignToIds(ids, await selectByIds(db, ids))
  return byId as unknown as ById<T>
}
