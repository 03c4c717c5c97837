import { inTransaction, type ServiceContext, type TxContext } from '../../context.ts'
import { hook } from '../../database/hook.ts'
import { Forbidden, NotFound } from '../../errors.ts'
import { isMadeWith, type TokenRow, tokensById } from '../accounts/reads.ts'
import { revokeTokens, revokeTokensAlone } from '../accounts/writes.ts'
import { roleChanged } from '../members/writes.ts'
import { mayManage, ownTokens, requireTokensWrite } from './reads.ts'
import { logToken } from './writes.ts'

/**
 * From now on the token opens nothing, running requests aside, and neither does what was made with it. Without `cascade` what was
 * made with it stays, and ends when this token, or one above it, is revoked with `cascade`. Throws NotFound, Forbidden.
 */
export async function revokeApiToken(
  ctx: ServiceContext,
  { tokenId, cascade }: { tokenId: string; cascade: boolean },
): Promise<TokenRow> {
  const viewer = requireTokensWrite(ctx.viewer)
  return inTransaction(ctx, async (s) => {
    const [token] = await tokensById(s.tx, [tokenId])
    if (!(await mayManage(s.tx, s.viewer, token)) || !token) {
      throw new NotFound(tokenId).at('tokenId')
    }
    if (!cascade) await refuseAncestor(s, viewer.tokenId, tokenId)
    const revoke = cascade ? revokeTokens : revokeTokensAlone
    await logAll(s, await revoke(s.tx, [tokenId], s.now()))
    return token
  })
}

/** A token that revoked one above it alone would outlive what it was made with. */
async function refuseAncestor({ tx }: TxContext, asking: string, tokenId: string) {
  if (!(await isMadeWith(tx, asking, tokenId))) return
  const message = 'this token was made with that one: revoke it with cascade, or with another token'
  throw new Forbidden({ message }).at('tokenId')
}

/**
 * Revokes the viewer's own tokens with all that was made with them; with a bound token those alone that are bound to the same
 * workspace. With `keepCurrent` the one that asks stays, and still ends when one above it is revoked once more. Answers with how
 * many were revoked.
 */
export async function revokeAllApiTokens(
  ctx: ServiceContext,
  { keepCurrent }: { keepCurrent: boolean },
): Promise<number> {
  const viewer = requireTokensWrite(ctx.viewer)
  return inTransaction(ctx, async (s) => {
    const own = await ownTokens(s.tx, viewer).execute()
    const spared = keepCurrent ? viewer.tokenId : undefined
    const doomed = own.map(({ id }) => id).filter((id) => id !== spared)
    const revoked = await revokeTokens(s.tx, doomed, s.now(), spared)
    await logAll(s, revoked)
    return revoked.length
  })
}

async function logAll(s: TxContext, revoked: TokenRow[]) {
  for (const token of revoked) await logToken(s, token, 'TOKEN_REVOKED')
}

/** Called with the tokens that ended because their holder or issuer left the workspace, or is no OWNER any more. */
export const tokensLeft = hook<{ ctx: TxContext; workspaceId: string; tokens: TokenRow[] }>()

/**
 * Whoever leaves a workspace leaves no token in it: neither their own that are bound to it, nor those that they made for service
 * accounts, whose secrets they know. The latter end also when they are no longer OWNER. Those that were revoked alone count, for
 * the sake of what was made with them.
 */
roleChanged.listen(async (tx, { ctx, workspaceId, userId, role }) => {
  const ending = await tx
    .selectFrom('apiTokens')
    .select('id')
    .where('workspaceId', '=', workspaceId)
    .where((eb) => {
      const forOthers = eb.and([eb('issuerId', '=', userId), eb('userId', '!=', userId)])
      if (role === null) return eb.or([eb('userId', '=', userId), forOthers])
      return role === 'OWNER' ? eb.lit(false) : forOthers
    })
    .execute()
  const ids = ending.map(({ id }) => id)
  const tokens = await revokeTokens(tx, ids, ctx.now())
  await logAll(ctx, tokens)
  await tokensLeft.call(tx, { ctx, workspaceId, tokens })
})
