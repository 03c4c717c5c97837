import type { ApiScope, LogScope, ServiceContext } from '../../context.ts'
import { transact } from '../../database/transaction.ts'
import { InvalidInput, NotFound } from '../../errors.ts'
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
import { checkTerms, logToken, type MadeToken } from './writes.ts'

/*
 * What the operator of the server does there, by `npm run admin`, and nobody through the API: the first token of a person, or another
 * one where it was lost.
 */

type ServerScope = Pick<ServiceContext, 'db' | 'now'>
type NewToken = {
  /** An address or an id. */
  user: string
  name: string
  scopes: readonly ApiScope[]
  /** An id or a slug; null: bound to none. */
  workspace: string | null
  expiresAt: number | null
}

/** A token for any user, with neither issuer nor parent. Throws NotFound, InvalidInput. */
export async function createTokenOnServer(ctx: ServerScope, input: NewToken): Promise<MadeToken> {
  checkTerms(input, ctx.now())
  const { id: userId, ...user } = await requireUser(ctx, input.user)
  const workspaceId = await workspaceFor(ctx, input.workspace ?? user.workspaceId)
  const { name, scopes, expiresAt } = input
  return onServer(ctx, async (s) => {
    if (workspaceId && !(await roleOf(s.tx, userId, workspaceId))) {
      throw new NotFound(userId, `${input.user} is no member of ${workspaceId}`)
    }
    const token = { name: name.trim(), scopes, userId, workspaceId, expiresAt }
    const made = await createToken(s.tx, token, s.now())
    await recordOnServer(s, 'TOKEN_CREATED', detailsOf(made.token))
    if (workspaceId) await logToken(s, made.token, 'TOKEN_CREATED')
    return made
  })
}

/** Revokes tokens with all that was made with them; how many that were. Throws NotFound, and then revokes none of them. */
export async function revokeTokensOnServer(
  ctx: ServerScope,
  tokenIds: readonly string[],
): Promise<number> {
  return onServer(ctx, async (s) => {
    const tokens = await tokensById(s.tx, tokenIds)
    const missing = tokenIds.find((_, i) => !tokens[i])
    if (missing !== undefined) throw new NotFound(missing)
    const revoked = await revokeTokens(s.tx, tokenIds, s.now())
    for (const one of revoked) {
      await recordOnServer(s, 'TOKEN_REVOKED', detailsOf(one))
      if (one.workspaceId) await logToken(s, one, 'TOKEN_REVOKED')
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

/** Nobody is the viewer: what the operator does has no name in the logs. */
const onServer = <T>({ db, now }: ServerScope, fn: (s: LogScope) => Promise<T>): Promise<T> =>
  transact(db, (tx) => fn({ tx, now, viewer: null }))

/** The user of an address or id. Throws NotFound. */
async function requireUser({ db }: ServerScope, named: string): Promise<UserRow> {
  const [byId] = await usersById(db, [named])
  const user = byId ?? (await userByEmail(db, named.trim().toLowerCase()))
  if (!user) throw new NotFound(named, `no user has the address or id ${named}`)
  return user
}

async function workspaceFor({ db }: ServerScope, named: string | null): Promise<string | null> {
  if (named === null) return null
  const id = (await workspaceIdBySlug(db, named)) ?? named
  const [workspace] = await workspacesById(db, [id])
  if (!workspace) throw new InvalidInput({ path: ['workspace'], message: `${named} is none` })
  return workspace.id
}

/** The living tokens of a user, oldest first. */
export async function tokensOnServer(ctx: ServerScope, user: string): Promise<TokenRow[]> {
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

/** Everybody who may have tokens, oldest first. */
export const usersOnServer = ({ db }: ServerScope): Promise<UserRow[]> =>
  db.selectFrom('users').selectAll().orderBy('createdAt').orderBy('id').execute()
