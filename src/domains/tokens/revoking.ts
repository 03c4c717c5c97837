import { inTransaction, type ServiceContext, type TxContext } from '../../context.ts'
import { hook } from '../../database/hook.ts'
import { lockLate, type Tx } from '../../database/transaction.ts'
import { Forbidden, NotFound } from '../../errors/access.ts'
import { isDescendantToken, type TokenRow, tokensById } from '../accounts/reads.ts'
import { revokeTokens, revokeTokensAlone } from '../accounts/writes.ts'
import { roleChanged } from '../members/writes.ts'
import { mayManage, ownTokens, requireTokensWrite } from './reads.ts'
import { logToken } from './writes.ts'

/**
 * Revokes a token and, with `cascade`, its descendants. Without `cascade`, the descendants stay valid until
 * this token or one of its ancestors is revoked with `cascade`. Running requests continue. Throws
 * Unauthenticated, NotFound, Forbidden.
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
    if (!cascade) await assertNotAncestor(s, viewer.tokenId, tokenId)
    const revoke = cascade ? revokeTokens : revokeTokensAlone
    await logRevocations(s, await revoke(s.tx, [tokenId], s.now()))
    return token
  })
}

/**
 * Locks the workspaces in whose logs the revocations appear. They are known only now, because the descendants
 * of a token can be bound to other workspaces.
 */
export const lockWorkspacesOf = (tx: Tx, tokens: readonly TokenRow[]): Promise<void> =>
  lockLate(
    tx,
    tokens.flatMap(({ workspaceId }) => workspaceId ?? []),
  )

/** Throws Forbidden for an ancestor of the current token, because the current token would outlive it. */
async function assertNotAncestor({ tx }: TxContext, currentTokenId: string, tokenId: string) {
  if (!(await isDescendantToken(tx, currentTokenId, tokenId))) return
  const message =
    'the current token was created with this one: revoke it with cascade, or use another token'
  throw new Forbidden({ message }).at('tokenId')
}

/**
 * Revokes the viewer's tokens with their descendants, and returns how many it revoked. If the current token
 * is bound to a workspace, revokes only the tokens that are bound to the same workspace. With `keepCurrent`,
 * the current token stays valid until one of its ancestors is revoked again with its descendants. Throws
 * Unauthenticated, Forbidden.
 */
export async function revokeAllApiTokens(
  ctx: ServiceContext,
  { keepCurrent }: { keepCurrent: boolean },
): Promise<number> {
  const viewer = requireTokensWrite(ctx.viewer)
  return inTransaction(ctx, async (s) => {
    const own = await ownTokens(s.tx, viewer).execute()
    const excludedId = keepCurrent ? viewer.tokenId : undefined
    const ids = own.map(({ id }) => id).filter((id) => id !== excludedId)
    const revoked = await revokeTokens(s.tx, ids, s.now(), excludedId)
    await logRevocations(s, revoked)
    return revoked.length
  })
}

async function logRevocations(ctx: TxContext, revoked: TokenRow[]) {
  await lockWorkspacesOf(ctx.tx, revoked)
  for (const token of revoked) await logToken(ctx, token, 'TOKEN_REVOKED')
}

/**
 * Called with the tokens that were revoked because their user or issuer left the workspace, or because their
 * issuer is no longer OWNER.
 */
export const memberTokensRevoked = hook<{
  ctx: TxContext
  workspaceId: string
  tokens: TokenRow[]
}>()

/**
 * When a member leaves a workspace, revokes the member's tokens that are bound to it, and the tokens that the
 * member created for service accounts, whose secrets the member knows. When a member is no longer OWNER,
 * revokes only the latter. Includes tokens that are already revoked, because their descendants may not be.
 */
roleChanged.listen(async (tx, { ctx, workspaceId, userId, role }) => {
  const tokensToRevoke = await tx
    .selectFrom('apiTokens')
    .select('id')
    .where('workspaceId', '=', workspaceId)
    .where((eb) => {
      const forOthers = eb.and([eb('issuerId', '=', userId), eb('userId', '!=', userId)])
      if (role === null) return eb.or([eb('userId', '=', userId), forOthers])
      return role === 'OWNER' ? eb.lit(false) : forOthers
    })
    .execute()
  const ids = tokensToRevoke.map(({ id }) => id)
  const tokens = await revokeTokens(tx, ids, ctx.now())
  await logRevocations(ctx, tokens)
  await memberTokensRevoked.call(tx, { ctx, workspaceId, tokens })
})
