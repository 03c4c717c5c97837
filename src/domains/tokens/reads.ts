import type { Db } from '../../database/database.ts'
import type { List } from '../../database/keyset.ts'
import type { Tx } from '../../database/transaction.ts'
import type { Viewer } from '../../scope.ts'
import type { TokenRow } from '../accounts/reads.ts'
import { roleOf } from '../workspaces/reads.ts'
import { hasRole } from '../workspaces/rules.ts'

/** The living tokens bound to a workspace, oldest first. */
export function tokensList(db: Db, workspaceId: string): List<TokenRow> {
  return {
    ordering: 'tokens',
    keys: [
      { column: 'apiTokens.createdAt', as: 'createdAt', direction: 'asc', numeric: true },
      { column: 'apiTokens.id', as: 'id', direction: 'asc' },
    ],
    segments: [
      db
        .selectFrom('apiTokens')
        .selectAll()
        .where('workspaceId', '=', workspaceId)
        .where('revokedAt', 'is', null),
    ],
  }
}

/** One's own tokens, and with TOKENS_WRITE those bound to a workspace that one owns; no token takes as long as another's. */
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
