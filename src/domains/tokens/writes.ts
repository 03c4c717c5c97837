import {
  type ApiScope,
  inTransaction,
  type LogScope,
  type ServiceContext,
  type TxContext,
  type Viewer,
} from '../../context.ts'
import { Forbidden, InvalidInput, NotFound, Unauthenticated } from '../../errors.ts'
import { type TokenRow, usersById } from '../accounts/reads.ts'
import { checkName } from '../accounts/rules.ts'
import { createToken, lockToken } from '../accounts/writes.ts'
import { record } from '../activity/writes.ts'
import { recordOnServer } from '../server-activity/writes.ts'
import { requireNamed, roleOf } from '../workspaces/reads.ts'
import { requireTokensWrite } from './reads.ts'

type NewApiToken = {
  name: string
  scopes: readonly ApiScope[]
  workspaceId?: string | null | undefined
  userId?: string | null | undefined
  expiresAt?: number | null | undefined
}
export type MadeToken = { token: TokenRow; secret: string }

/**
 * A token for oneself, or, by the OWNER of a workspace, for a service account of it. It can never do more than the token that
 * makes it, and ends with that one.
 */
export async function createApiToken(ctx: ServiceContext, input: NewApiToken): Promise<MadeToken> {
  const viewer = requireTokensWrite(ctx.viewer)
  const workspaceId = input.workspaceId ?? viewer.workspaceId
  const userId = input.userId ?? viewer.userId
  checkNewToken({ ...input, workspaceId, userId }, viewer, ctx.now())
  return inTransaction(ctx, async (s) => {
    if (workspaceId !== null) await requireHolder(s, workspaceId, userId)
    const parent = await lockToken(s.tx, viewer.tokenId, s.now())
    if (!parent) throw new Unauthenticated()
    const expiresAt = endOfLife(parent, input.expiresAt ?? null)
    const lineage = { issuerId: viewer.userId, parentId: parent.id }
    const { name, scopes } = input
    const token = { name: name.trim(), scopes, userId, workspaceId, expiresAt, ...lineage }
    const made = await createToken(s.tx, token, s.now())
    await logToken(s, made.token, 'TOKEN_CREATED')
    return made
  })
}

function checkNewToken(input: NewApiToken, viewer: NonNullable<Viewer>, now: number) {
  const { scopes, workspaceId, userId } = input
  const missing = scopes.filter((wanted) => !viewer.scopes.has(wanted))
  if (missing.length > 0) throw new Forbidden({ missingScopes: missing })
  checkTerms(input, now)
  if (userId !== viewer.userId && workspaceId === null) {
    const message = "a service account's token is bound to its workspace: name it"
    throw new InvalidInput({ path: ['workspaceId'], message })
  }
}

/** Throws InvalidInput. */
export function checkTerms(
  { name, expiresAt }: Pick<NewApiToken, 'name' | 'expiresAt'>,
  now: number,
) {
  checkName(name)
  if (expiresAt != null && expiresAt <= now) {
    throw new InvalidInput({ path: ['expiresAt'], message: 'a moment in the future' })
  }
}

/** People make their own tokens: whoever made one for another person could act as them, also after being removed. */
async function requireHolder({ tx, viewer }: TxContext, workspaceId: string, userId: string) {
  const isOwn = userId === viewer?.userId
  const role = isOwn ? 'VIEWER' : 'OWNER'
  await requireNamed(tx, viewer, workspaceId, { scope: 'TOKENS_WRITE', role })
  if (!(await roleOf(tx, userId, workspaceId))) throw new NotFound(userId).at('userId')
  const [user] = await usersById(tx, [userId])
  if (isOwn || user?.kind === 'SERVICE') return
  const message = 'people create their own tokens; an OWNER creates those of service accounts'
  throw new Forbidden({ message }).at('userId')
}

/** Where no end is named, the new token ends with the one that makes it. */
function endOfLife({ expiresAt: latest }: TokenRow, wanted: number | null) {
  if (latest === null || wanted === null) return wanted ?? latest
  if (wanted <= latest) return wanted
  const message = `no later than ${new Date(latest).toISOString()}, when this token ends`
  throw new InvalidInput({ path: ['expiresAt'], message })
}

/** To the log of the workspace that the token is bound to, or to that of the server. */
export async function logToken(
  s: LogScope,
  { id, name, userId, workspaceId }: TokenRow,
  action: 'TOKEN_CREATED' | 'TOKEN_REVOKED',
) {
  const details = { tokenId: id, name, userId }
  if (workspaceId) await record(s, { workspaceId, action, details })
  else await recordOnServer(s, action, details)
}
