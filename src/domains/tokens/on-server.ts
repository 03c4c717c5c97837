import type { ApiScope, LogContext, ServiceContext } from '../../context.ts'
import { transact } from '../../database/transaction.ts'
import { NotFound } from '../../errors/access.ts'
import { InvalidInput } from '../../errors/input.ts'
import {
  type TokenRow,
  tokensById,
  type UserRow,
  userByEmail,
  usersById,
} from '../accounts/reads.ts'
import { createToken, revokeTokens } from '../accounts/writes.ts'
import { recordOnServer } from '../server-activity/writes.ts'
import { roleOf, workspaceIdBySlug, workspacesById } from '../workspaces/reads.ts'
import { lockWorkspacesOf } from './revoking.ts'
import { type CreatedToken, checkTerms, logToken } from './writes.ts'

/*
 * Token operations of the operator, by `npm run admin` and not through the API: the first token of a person,
 * or a replacement for a lost one.
 */

type ServerContext = Pick<ServiceContext, 'db' | 'now'>
type NewToken = {
  /** An email address or a user id. */
  user: string
  name: string
  scopes: readonly ApiScope[]
  /** The id or slug of the workspace to bind the token to, or null. */
  workspace: string | null
  expiresAt: number | null
}

/** Creates a token for any user, without issuer and parent. Throws NotFound, InvalidInput. */
export async function createTokenOnServer(
  ctx: ServerContext,
  input: NewToken,
): Promise<CreatedToken> {
  checkTerms(input, ctx.now())
  const { id: userId, ...user } = await requireUser(ctx, input.user)
  const workspaceId = await workspaceFor(ctx, input.workspace ?? user.workspaceId)
  const { name, scopes, expiresAt } = input
  const create = async (s: LogContext) => {
    if (workspaceId && !(await roleOf(s.tx, userId, workspaceId))) {
      throw new NotFound(userId, `user ${input.user} is not a member of workspace ${workspaceId}`)
    }
    const token = { name: name.trim(), scopes, userId, workspaceId, expiresAt }
    const created = await createToken(s.tx, token, s.now())
    await recordOnServer(s, 'TOKEN_CREATED', detailsOf(created.token))
    if (workspaceId) await logToken(s, created.token, 'TOKEN_CREATED')
    return created
  }
  return onServer(ctx, create, workspaceId ? [workspaceId] : [])
}

/**
 * Revokes tokens with their descendants and returns how many it revoked. Throws NotFound if one of the tokens
 * does not exist; then it revokes none.
 */
export async function revokeTokensOnServer(
  ctx: ServerContext,
  tokenIds: readonly string[],
): Promise<number> {
  return onServer(ctx, async (s) => {
    const tokens = await tokensById(s.tx, tokenIds)
    const missing = tokenIds.find((_, i) => !tokens[i])
    if (missing !== undefined) throw new NotFound(missing)
    const revoked = await revokeTokens(s.tx, tokenIds, s.now())
    await lockWorkspacesOf(s.tx, revoked)
    for (const token of revoked) {
      await recordOnServer(s, 'TOKEN_REVOKED', detailsOf(token))
      if (token.workspaceId) await logToken(s, token, 'TOKEN_REVOKED')
    }
    return revoked.length
  })
}

const detailsOf = ({ id, name, userId, workspaceId }: TokenRow) => ({
  tokenId: id,
  name,
  userId,
  workspaceId,
})

/** Runs `fn` in a transaction without a viewer, so that the logs name no actor for what the operator does. */
const onServer = <T>(
  { db, now }: ServerContext,
  fn: (ctx: LogContext) => Promise<T>,
  workspaceIds: readonly string[] = [],
): Promise<T> => transact(db, (tx) => fn({ tx, now, viewer: null }), workspaceIds)

/** Returns the user with this id or email address. Throws NotFound. */
async function requireUser({ db }: ServerContext, idOrEmail: string): Promise<UserRow> {
  const [byId] = await usersById(db, [idOrEmail])
  const user = byId ?? (await userByEmail(db, idOrEmail.trim().toLowerCase()))
  if (!user) throw new NotFound(idOrEmail, `no user has the email address or id ${idOrEmail}`)
  return user
}

async function workspaceFor(
  { db }: ServerContext,
  idOrSlug: string | null,
): Promise<string | null> {
  if (idOrSlug === null) return null
  const id = (await workspaceIdBySlug(db, idOrSlug)) ?? idOrSlug
  const [workspace] = await workspacesById(db, [id])
  if (!workspace) {
    const message = `no workspace has the id or slug ${idOrSlug}`
    throw new InvalidInput({ path: ['workspace'], message })
  }
  return workspace.id
}

/** Returns the tokens of a user that are not revoked, oldest first. Throws NotFound. */
export async function tokensOnServer(ctx: ServerContext, user: string): Promise<TokenRow[]> {
  const { id } = await requireUser(ctx, user)
  return ctx.db
    .selectFrom('apiTokens')
    .selectAll()
    .where('userId', '=', id)
    .where('revokedAt', 'is', null)
    .orderBy('createdAt')
    .orderBy('id')
    .execute()
}

/** Returns all users, oldest first. */
export const usersOnServer = ({ db }: ServerContext): Promise<UserRow[]> =>
  db.selectFrom('users').selectAll().orderBy('createdAt').orderBy('id').execute()
