import { Forbidden, InvalidInput, NotFound, Unauthenticated } from '../../errors.ts'
import { isKeepable } from '../../names.ts'
import { type ApiScope, inTransaction, type Scope, type TxScope, type Viewer } from '../../scope.ts'
import { type TokenRow, tokensById } from '../accounts/reads.ts'
import { createToken, revokeToken } from '../accounts/writes.ts'
import { record } from '../activity/writes.ts'
import { requireNamed, roleOf } from '../workspaces/reads.ts'
import { mayManage } from './reads.ts'

type NewApiToken = {
  name: string
  scopes: readonly ApiScope[]
  workspaceId?: string | null | undefined
  userId?: string | null | undefined
  expiresAt?: number | null | undefined
}

/** A token for oneself, or, by the OWNER of a workspace, for a member of it. It never can more than the token that makes it. */
export async function createApiToken(
  scope: Scope,
  input: NewApiToken,
): Promise<{ token: TokenRow; secret: string }> {
  const viewer = requireTokensWrite(scope.viewer)
  const workspaceId = input.workspaceId ?? viewer.workspaceId
  const userId = input.userId ?? viewer.userId
  checkNewToken({ ...input, workspaceId, userId }, viewer, scope.now())
  return inTransaction(scope, async (s) => {
    if (workspaceId) await requireMembership(s, workspaceId, userId)
    const expiresAt = await endOfLife(s, viewer, input.expiresAt ?? null)
    const { name, scopes } = input
    const token = { name: name.trim(), scopes, userId, workspaceId, expiresAt }
    const made = await createToken(s.tx, token, s.now())
    await log(s, made.token, 'TOKEN_CREATED')
    return made
  })
}

/** From now on the token opens nothing, running requests aside. */
export async function revokeApiToken(scope: Scope, tokenId: string): Promise<TokenRow> {
  requireTokensWrite(scope.viewer)
  return inTransaction(scope, async (s) => {
    const token = await s.tx
      .selectFrom('apiTokens')
      .selectAll()
      .where('id', '=', tokenId)
      .executeTakeFirst()
    if (!(await mayManage(s.tx, s.viewer, token)) || !token) {
      throw new NotFound(tokenId).at('tokenId')
    }
    if (await revokeToken(s.tx, tokenId, s.now())) await log(s, token, 'TOKEN_REVOKED')
    return token
  })
}

function requireTokensWrite(viewer: Viewer) {
  if (!viewer) throw new Unauthenticated()
  if (!viewer.scopes.has('TOKENS_WRITE')) throw new Forbidden({ missingScopes: ['TOKENS_WRITE'] })
  return viewer
}

function checkNewToken(input: NewApiToken, viewer: NonNullable<Viewer>, now: number) {
  const { name, scopes, expiresAt, workspaceId, userId } = input
  const missing = scopes.filter((wanted) => !viewer.scopes.has(wanted))
  if (missing.length > 0) throw new Forbidden({ missingScopes: missing })
  if (name.trim() === '' || name.length > 200 || !isKeepable(name)) {
    throw new InvalidInput({ path: ['name'], message: '1 to 200 characters' })
  }
  if (expiresAt != null && expiresAt <= now) {
    throw new InvalidInput({ path: ['expiresAt'], message: 'a moment in the future' })
  }
  if (userId !== viewer.userId && !workspaceId) {
    const message = "another user's token is bound to a workspace: name it"
    throw new InvalidInput({ path: ['workspaceId'], message })
  }
}

async function requireMembership({ tx, viewer }: TxScope, workspaceId: string, userId: string) {
  const role = userId === viewer?.userId ? 'VIEWER' : 'OWNER'
  await requireNamed(tx, viewer, workspaceId, { scope: 'TOKENS_WRITE', role })
  if (!(await roleOf(tx, userId, workspaceId))) throw new NotFound(userId).at('userId')
}

/** Where no end is named, the new token ends with the one that makes it. */
async function endOfLife({ tx }: TxScope, viewer: NonNullable<Viewer>, wanted: number | null) {
  const [maker] = await tokensById(tx, [viewer.tokenId])
  const latest = maker?.expiresAt ?? null
  if (latest === null || wanted === null) return wanted ?? latest
  if (wanted <= latest) return wanted
  const message = `no later than ${new Date(latest).toISOString()}, when this token ends`
  throw new InvalidInput({ path: ['expiresAt'], message })
}

async function log(
  s: TxScope,
  { id, name, userId, workspaceId }: TokenRow,
  action: 'TOKEN_CREATED' | 'TOKEN_REVOKED',
) {
  if (workspaceId) await record(s, { workspaceId, action, details: { tokenId: id, name, userId } })
}
