import type { Viewer } from '../../context.ts'
import type { Db } from '../../database/database.ts'
import type { List } from '../../database/query/keyset.ts'
import type { Tx } from '../../database/transaction.ts'
import { Forbidden, Unauthenticated } from '../../errors/access.ts'
import type { TokenRow } from '../accounts/reads.ts'
import { roleOf } from '../workspaces/reads.ts'
import { hasRole } from '../workspaces/rules.ts'

/** Returns the list of tokens that are bound to a workspace and not revoked, oldest first. */
export const tokensList = (db: Db, workspaceId: string): List<TokenRow> => ({
  ordering: 'tokens',
  keys: oldestFirst,
  segments: [unrevokedTokens(db).where('workspaceId', '=', workspaceId)],
})

/**
 * Returns the list of the viewer's tokens that are not revoked, oldest first. If the current token is bound
 * to a workspace, the list contains only the tokens that are bound to the same workspace.
 */
export const ownTokensList = (db: Db, viewer: NonNullable<Viewer>): List<TokenRow> => ({
  ordering: 'ownTokens',
  keys: oldestFirst,
  segments: [ownTokens(db, viewer)],
})

/** Returns the query for the rows of ownTokensList, unordered. */
export const ownTokens = (db: Db | Tx, { userId, workspaceId }: NonNullable<Viewer>) =>
  unrevokedTokens(db)
    .where('userId', '=', userId)
    .$if(workspaceId !== null, (q) => q.where('workspaceId', '=', workspaceId))

const unrevokedTokens = (db: Db | Tx) =>
  db.selectFrom('apiTokens').selectAll().where('revokedAt', 'is', null)

const oldestFirst: List<TokenRow>['keys'] = [
  { column: 'apiTokens.createdAt', as: 'createdAt', direction: 'asc', numeric: true },
  { column: 'apiTokens.id', as: 'id', direction: 'asc' },
]

/**
 * Returns the viewer. Throws Unauthenticated without one, and Forbidden if the token lacks scope
 * TOKENS_WRITE.
 */
export function requireTokensWrite(viewer: Viewer): NonNullable<Viewer> {
  if (!viewer) throw new Unauthenticated()
  if (!viewer.scopes.has('TOKENS_WRITE')) throw new Forbidden({ missingScopes: ['TOKENS_WRITE'] })
  return viewer
}

/**
 * Returns whether the viewer may manage a token: one of their own or, with scope TOKENS_WRITE and role OWNER,
 * one that is bound to the workspace. The check of a missing token takes as long as that of another user's
 * token.
 */
export async function mayManage(
  db: Db | Tx,
  viewer: Viewer,
  token: TokenRow | null | undefined,
): Promise<boolean> {
  if (!viewer) return false
  if (viewer.workspaceId && viewer.workspaceId !== token?.workspaceId) return false
  if (token?.userId === viewer.userId) return true
  if (!viewer.scopes.has('TOKENS_WRITE')) return false
  return hasRole(await roleOf(db, viewer.userId, token?.workspaceId ?? ''), 'OWNER')
}
