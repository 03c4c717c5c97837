import type { Db } from '../../database/database.ts'
import type { List } from '../../database/keyset.ts'
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

/** Whether the viewer and this user share a workspace: then they may know of each other. */
export async function areColleagues(db: Db, viewerId: string, userId: string): Promise<boolean> {
  if (viewerId === userId) return true
  const shared = await db
    .selectFrom('members as mine')
    .innerJoin('members as theirs', 'theirs.workspaceId', 'mine.workspaceId')
    .select('mine.userId')
    .where('mine.userId', '=', viewerId)
    .where('theirs.userId', '=', userId)
    .executeTakeFirst()
  return shared !== undefined
}
