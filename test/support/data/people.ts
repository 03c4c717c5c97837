import { type ApiScope, apiScopes } from '../../../src/context.ts'
import type { WorkspaceRole } from '../../../src/database/tables.ts'
import { createTokenOnServer } from '../../../src/domains/tokens/on-server.ts'
import { runAdmin } from '../admin.ts'
import { act } from '../client.ts'
import type { TestServer } from '../servers/test-server.ts'

type As = { token?: string | null }
export type Person = { userId: string; email: string; token: string; tokenId: string }

let people = 0

/** Adds a member to a workspace, with a token bound to it that has `scopes` (default: all). */
export async function invite(
  holdall: TestServer,
  workspaceId: string,
  role: WorkspaceRole = 'EDITOR',
  scopes: readonly ApiScope[] = apiScopes,
): Promise<Person> {
  const email = `member-${++people}@example.org`
  const input = { workspaceId, email, role }
  const { member } = await act(holdall, 'addMember', input, 'member { user { id } }')
  const userId: string = member.user.id
  const { secret, id } = await firstToken(holdall, { workspaceId, userId, scopes })
  return { userId, email, token: secret, tokenId: id }
}

/** Creates a token of the viewer, with all scopes by default. */
export async function createToken(
  holdall: TestServer,
  input: Record<string, unknown> = {},
  as: As = {},
): Promise<{ id: string; secret: string }> {
  const wanted = { name: 'a token', scopes: apiScopes, ...input }
  const { token, secret } = await act(holdall, 'createApiToken', wanted, 'secret token { id }', as)
  return { id: token.id, secret }
}

type NewToken = { userId: string; workspaceId: string | null; scopes?: readonly ApiScope[] }

/** Creates a token for another user as the operator does, because the API cannot. */
export async function firstToken(
  holdall: TestServer,
  { userId, workspaceId, scopes = apiScopes }: NewToken,
): Promise<{ id: string; secret: string }> {
  if (!holdall.app) return firstTokenOfProcess(holdall, { userId, workspaceId, scopes })
  const wanted = { name: 'a token', user: userId, workspace: workspaceId, scopes, expiresAt: null }
  const { token, secret } = await createTokenOnServer(holdall.app, wanted)
  return { id: token.id, secret }
}

/** Creates the token with `npm run admin`, for a server process over the folder `holdall.dir`. */
async function firstTokenOfProcess(
  holdall: TestServer,
  { userId, workspaceId, scopes = [] }: NewToken,
): Promise<{ id: string; secret: string }> {
  const words = ['--user', userId, ...(workspaceId ? ['--workspace', workspaceId] : [])]
  const named = scopes.flatMap((scope) => ['--scope', scope])
  const { lines, stderr } = await runAdmin(holdall, 'tokens', 'create', ...words, ...named)
  const [secret] = lines
  if (!secret) throw new Error(stderr)
  return { id: /tok_\w+/.exec(stderr)?.[0] ?? '', secret }
}

/** Removes the workspace binding of a token. */
export async function unbindToken(holdall: TestServer, tokenId: string): Promise<void> {
  const { db } = holdall.app
  await db.updateTable('apiTokens').set({ workspaceId: null }).where('id', '=', tokenId).execute()
}
