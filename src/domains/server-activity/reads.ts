import type { Viewer } from '../../context.ts'
import type { Db } from '../../database/database.ts'
import type { List } from '../../database/query/keyset.ts'
import type { Row } from '../../database/tables.ts'
import { Forbidden, Unauthenticated } from '../../errors/access.ts'
import { isFirstOwner } from '../accounts/reads.ts'

export type ServerEventRow = Row<'serverActivity'>

/**
 * Throws Unauthenticated without a viewer, and Forbidden unless the viewer is the first owner of the server
 * with an unbound token and scope ACTIVITY_READ.
 */
export async function requireServerAccess(db: Db, viewer: Viewer): Promise<void> {
  if (!viewer) throw new Unauthenticated()
  if (!viewer.scopes.has('ACTIVITY_READ')) throw new Forbidden({ missingScopes: ['ACTIVITY_READ'] })
  if (viewer.workspaceId === null && (await isFirstOwner(db, viewer.userId))) return
  throw new Forbidden({
    message: 'only the first owner of the server may read its log, with an unbound token',
  })
}

/** Returns the log of the server, newest first. */
export function serverActivityList(db: Db): List<ServerEventRow> {
  return {
    ordering: 'serverActivity',
    keys: [
      { column: 'serverActivity.at', as: 'at', direction: 'desc', numeric: true },
      { column: 'serverActivity.id', as: 'id', direction: 'desc' },
    ],
    segments: [db.selectFrom('serverActivity').selectAll()],
  }
}
