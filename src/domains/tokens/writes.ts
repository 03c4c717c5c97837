import type { ApiScope, LogContext, ServiceContext, TxContext, Viewer } from '../../context.ts'
import { Forbidden, NotFound, Unauthenticated } from '../../errors/access.ts'
import { InvalidInput } from '../../errors/input.ts'
import { type TokenRow, usersById } from '../accounts/reads.ts'
import { checkName } from '../accounts/rules.ts'
import { createToken, lockToken } from '../accounts/writes.ts'
import { record } from '../activity/writes.ts'
import { recordOnServer } from '../server-activity/writes.ts'
import { requireInputWorkspace, roleOf } from '../workspaces/reads.ts'
import { inWorkspaceTransaction } from '../workspaces/transaction.ts'
import { requireTokensWrite } from './reads.ts'

type NewApiToken = {
  name: string
  scopes: readonly ApiScope[]
  workspaceId?: string | null | undefined
  userId?: string | null | undefined
  expiresAt?: number | null | undefined
}
export type CreatedToken = { token: TokenRow; secret: string }

/**
 * Creates a token for the viewer or, if the viewer is OWNER of the workspace, for one of its service
 * accounts. The new token never has more rights than the current one, and ends with it. Throws
 * Unauthenticated, Forbidden, NotFound, InvalidInput.
 */
export async function createApiToken(
  ctx: ServiceContext,
  input: NewApiToken,
): Promise<CreatedToken> {
  const viewer = requireTokensWrite(ctx.viewer)
  const workspaceId = input.workspaceId ?? viewer.workspaceId
  const userId = input.userId ?? viewer.userId
  checkNewToken({ ...input, workspaceId, userId }, viewer, ctx.now())
  return inWorkspaceTransaction(ctx, workspaceId ?? [], async (s) => {
    if (workspaceId !== null) await requireHolder(s, workspaceId, userId)
    const parent = await lockToken(s.tx, viewer.tokenId, s.now())
    if (!parent) throw new Unauthenticated()
    const expiresAt = expiryOf(parent, input.expiresAt ?? null)
    const lineage = { issuerId: viewer.userId, parentId: parent.id }
    const { name, scopes } = input
    const token = { name: name.trim(), scopes, userId, workspaceId, expiresAt, ...lineage }
    const created = await createToken(s.tx, token, s.now())
    await logToken(s, created.token, 'TOKEN_CREATED')
    return created
  })
}

function checkNewToken(input: NewApiToken, viewer: NonNullable<Viewer>, now: number) {
  const { scopes, workspaceId, userId } = input
  const missing = scopes.filter((scope) => !viewer.scopes.has(scope))
  if (missing.length > 0) throw new Forbidden({ missingScopes: missing })
  checkTerms(input, now)
  if (userId !== viewer.userId && workspaceId === null) {
    const message = 'required for a token of a service account, which is bound to its workspace'
    throw new InvalidInput({ path: ['workspaceId'], message })
  }
}

/** Throws InvalidInput for an invalid name, and for an expiry time that is not in the future. */
export function checkTerms(
  { name, expiresAt }: Pick<NewApiToken, 'name' | 'expiresAt'>,
  now: number,
) {
  checkName(name)
  if (expiresAt != null && expiresAt <= now) {
    throw new InvalidInput({ path: ['expiresAt'], message: 'must be in the future' })
  }
}

/**
 * Throws unless the viewer may create tokens for this user. Only service accounts get tokens from others:
 * with a token for another person, its creator could act as that person, even after being removed from the
 * workspace.
 */
async function requireHolder({ tx, viewer }: TxContext, workspaceId: string, userId: string) {
  const isOwn = userId === viewer?.userId
  const role = isOwn ? 'VIEWER' : 'OWNER'
  await requireInputWorkspace(tx, viewer, workspaceId, { scope: 'TOKENS_WRITE', role })
  if (!(await roleOf(tx, userId, workspaceId))) throw new NotFound(userId).at('userId')
  const [user] = await usersById(tx, [userId])
  if (isOwn || user?.kind === 'SERVICE') return
  const message = 'people create their own tokens; an OWNER creates those of service accounts'
  throw new Forbidden({ message }).at('userId')
}

/**
 * Returns the expiry time of a new token in milliseconds since 1970, by default that of its parent. Throws
 * InvalidInput if it is later than that of its parent.
 */
function expiryOf({ expiresAt: latest }: TokenRow, requested: number | null) {
  if (latest === null || requested === null) return requested ?? latest
  if (requested <= latest) return requested
  const message = `must be no later than ${new Date(latest).toISOString()}, when the current token expires`
  throw new InvalidInput({ path: ['expiresAt'], message })
}

/**
 * Logs a change of a token in the workspace that it is bound to, or in the log of the server if it is not
 * bound.
 */
export async function logToken(
  ctx: LogContext,
  { id, name, userId, workspaceId }: TokenRow,
  action: 'TOKEN_CREATED' | 'TOKEN_REVOKED',
) {
  const details = { tokenId: id, name, userId }
  if (workspaceId) await record(ctx, { workspaceId, action, details })
  else await recordOnServer(ctx, action, details)
}
