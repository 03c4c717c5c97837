import type { Viewer } from '../../context.ts'
import type { Db } from '../../database/database.ts'
import type { List } from '../../database/query/keyset.ts'
import type { Row } from '../../database/tables.ts'
import type { Tx } from '../../database/transaction.ts'

/** Returns the list of members of a workspace, sorted by the time they joined. */
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

/** Returns the members of a workspace with these user ids, in any order. */
export const membersById = (db: Db, workspaceId: string, userIds: readonly string[]) =>
  db
    .selectFrom('members')
    .selectAll()
    .where('workspaceId', '=', workspaceId)
    .where('userId', 'in', userIds)
    .execute()

/** Returns the membership of a user in a workspace, or undefined. */
export const memberOf = (db: Db | Tx, workspaceId: string, userId: string) =>
  db
    .selectFrom('members')
    .selectAll()
    .where('workspaceId', '=', workspaceId)
    .where('userId', '=', userId)
    .executeTakeFirst()

/**
 * Returns the users among `ids` whose details the viewer may see: the viewer, and users who share a workspace
 * with the viewer that the token can access. For any other user, viewers see only the name, on what that user
 * created.
 */
export async function sharedWorkspaceUsers(
  db: Db,
  viewer: Viewer,
  ids: readonly string[],
): Promise<Set<string>> {
  if (!viewer) return new Set()
  const own = ids.filter((id) => id === viewer.userId)
  if (!viewer.scopes.has('FILES_READ')) return new Set(own)
  const { workspaceId } = viewer
  const shared = await db
    .selectFrom('members as mine')
    .innerJoin('members as theirs', 'theirs.workspaceId', 'mine.workspaceId')
    .select('theirs.userId')
    .where('mine.userId', '=', viewer.userId)
    .where('theirs.userId', 'in', ids)
    .$call((q) => (workspaceId === null ? q : q.where('mine.workspaceId', '=', workspaceId)))
    .execute()
  return new Set([...own, ...shared.map(({ userId }) => userId)])
}
