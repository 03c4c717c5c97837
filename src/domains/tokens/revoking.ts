import { hook } from '../../database/hook.ts'
import { NotFound } from '../../errors.ts'
import { inTransaction, type Scope, type TxScope } from '../../scope.ts'
import { type TokenRow, tokensById } from '../accounts/reads.ts'
import { detachToken, revokeTokenAlone, revokeTokens } from '../accounts/writes.ts'
import { roleChanged } from '../members/writes.ts'
import { mayManage, ownTokens, requireTokensWrite } from './reads.ts'
import { logToken } from './writes.ts'

/**
 * From now on the token opens nothing, running requests aside, and neither does what was made with it. Without `cascade` what was
 * made with it passes to the token with which it was made itself. Throws NotFound, Forbidden.
 */
export async function revokeApiToken(
  scope: Scope,
  { tokenId, cascade }: { tokenId: string; cascade: boolean },
): Promise<TokenRow> {
  requireTokensWrite(scope.viewer)
  return inTransaction(scope, async (s) => {
    const [token] = await tokensById(s.tx, [tokenId])
    if (!(await mayManage(s.tx, s.viewer, token)) || !token) {
      throw new NotFound(tokenId).at('tokenId')
    }
    await logAll(
      s,
      cascade
        ? await revokeTokens(s.tx, [tokenId], s.now())
        : await revokeTokenAlone(s.tx, token, s.now()),
    )
    return token
  })
}

/**
 * Revokes the viewer's own tokens with all that was made with them; with a bound token those alone that are bound to the same
 * workspace. With `keepCurrent` the one that asks stays. Answers with how many were revoked.
 */
export async function revokeAllApiTokens(
  scope: Scope,
  { keepCurrent }: { keepCurrent: boolean },
): Promise<number> {
  const viewer = requireTokensWrite(scope.viewer)
  return inTransaction(scope, async (s) => {
    const own = await ownTokens(s.tx, viewer).execute()
    const current = own.find(({ id }) => keepCurrent && id === viewer.tokenId)
    const doomed = new Set(own.filter((token) => token !== current).map(({ id }) => id))
    if (current) await detachToken(s.tx, current, doomed, s.now())
    const revoked = await revokeTokens(s.tx, [...doomed], s.now())
    await logAll(s, revoked)
    return revoked.length
  })
}

async function logAll(s: TxScope, revoked: TokenRow[]) {
  for (const token of revoked) await logToken(s, token, 'TOKEN_REVOKED')
}

/** Called with the tokens that ended because their holder or issuer left the workspace, or is no OWNER any more. */
export const tokensLeft = hook<{ scope: TxScope; workspaceId: string; tokens: TokenRow[] }>()

/**
 * Whoever leaves a workspace leaves no token in it: neither their own that are bound to it, nor those that they made for service
 * accounts, whose secrets they know. The latter end also when they are no longer OWNER.
 */
roleChanged.listen(async (tx, { scope, workspaceId, userId, role }) => {
  const ending = await tx
    .selectFrom('apiTokens')
    .select('id')
    .where('workspaceId', '=', workspaceId)
    .where('revokedAt', 'is', null)
    .where((eb) => {
      const forOthers = eb.and([eb('issuerId', '=', userId), eb('userId', '!=', userId)])
      if (role === null) return eb.or([eb('userId', '=', userId), forOthers])
      return role === 'OWNER' ? eb.lit(false) : forOthers
    })
    .execute()
  const ids = ending.map(({ id }) => id)
  const tokens = await revokeTokens(tx, ids, scope.now())
  await logAll(scope, tokens)
  await tokensLeft.call(tx, { scope, workspaceId, tokens })
})
