import type { Viewer } from '../../context.ts'
import type { Db } from '../../database/database.ts'
import type { List } from '../../database/query/keyset.ts'
import type { Row } from '../../database/tables.ts'
import type { Tx } from '../../database/transaction.ts'

/** The members of a workspace in the order in which they joined. */
export function membersList(db: Db, workspaceId: string): List<Row<'members'>> {
  return {
    ordering: 'members',
    keys: [
      { column: 'members.joinedAt', as: 'joinedAt', direction: 'asc', numeric: true },
      { column: 'members.userId', as: 'userId', direction: 'asc' },
    ],
    segments: [db.selectFrom('members').selectAll().where('workspaceId', '=', workspaceId)],
  }
}

export const memberOf = (db: Db | Tx, workspaceId: string, userId: string) =>
  db
    .selectFrom('members')
    .selectAll()
    .where('workspaceId', '=', workspaceId)
    .where('userId', '=', userId)
    .executeTakeFirst()

/**
 * Those among `ids` whom the viewer may know: themselves, and who shares a workspace with them that this token sees. What a
 * stranger sees of the others is the name on what they made.
 */
export async function colleaguesAmong(
  db: Db,
  viewer: Viewer,
  ids: readonly string[],
): Promise<Set<string>> {
  if (!viewer) return new Set()
  const own = ids.filter((id) => id === viewer.userId)
  if (!viewer.scopes.has('FILES_READ')) return new Set(own)
  const shared = await db
    .selectFrom('members as mine')
    .innerJoin('members as theirs', 'theirs.workspaceId', 'mine.workspaceId')
    .select('theirs.userId')
    .where('mine.userId', '=', viewer.userId)
    .where('theirs.userId', 'in', ids)
    .$if(viewer.workspaceId !== null, (q) =>
      q.where('mine.workspaceId', '=', viewer.workspaceId ?? ''),
    )
    .execute()
  return new Set([...own, ...shared.map(({ userId }) => userId)])
}
