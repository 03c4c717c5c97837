import { type ApiScope, apiScopes } from '../../src/context.ts'
import type { WorkspaceRole } from '../../src/database/tables.ts'
import { createTokenOnServer } from '../../src/domains/tokens/on-server.ts'
import { runAdmin } from './admin.ts'
import { act } from './client.ts'
import type { TestServer } from './test-server.ts'

type As = { token?: string | null }
export type Person = { userId: string; email: string; token: string; tokenId: string }

let people = 0

/** A new member of a workspace, with a token bound to it that has `scopes`: all, where none are named. */
export async function invite(
  holdall: TestServer,
  workspaceId: string,
  role: WorkspaceRole = 'EDITOR',
  scopes: readonly ApiScope[] = apiScopes,
): Promise<Person> {
  const email = `somebody-${++people}@example.org`
  const input = { workspaceId, email, role }
  const { member } = await act(holdall, 'addMember', input, 'member { user { id } }')
  const userId: string = member.user.id
  const { secret, id } = await firstToken(holdall, { workspaceId, userId, scopes })
  return { userId, email, token: secret, tokenId: id }
}

/** A new token of one's own, with all scopes where `input` does not say otherwise. */
export async function giveToken(
  holdall: TestServer,
  input: Record<string, unknown> = {},
  as: As = {},
): Promise<{ id: string; secret: string }> {
  const wanted = { name: 'a token', scopes: apiScopes, ...input }
  const { token, secret } = await act(holdall, 'createApiToken', wanted, 'secret token { id }', as)
  return { id: token.id, secret }
}

type FirstToken = { userId: string; workspaceId: string | null; scopes?: readonly ApiScope[] }

/** A token for another person, as the operator of the server makes it: nobody can through the API. */
export async function firstToken(
  holdall: TestServer,
  { userId, workspaceId, scopes = apiScopes }: FirstToken,
): Promise<{ id: string; secret: string }> {
  if (!holdall.app) return firstTokenOfProcess(holdall, { userId, workspaceId, scopes })
  const wanted = { name: 'a token', user: userId, workspace: workspaceId, scopes, expiresAt: null }
  const { token, secret } = await createTokenOnServer(holdall.app, wanted)
  return { id: token.id, secret }
}

/** The same where the server is a process of its own, whose folder is `house.dir`. */
async function firstTokenOfProcess(
  holdall: TestServer,
  { userId, workspaceId, scopes = [] }: FirstToken,
): Promise<{ id: string; secret: string }> {
  const words = ['--user', userId, ...(workspaceId ? ['--workspace', workspaceId] : [])]
  const named = scopes.flatMap((scope) => ['--scope', scope])
  const { lines, complained } = await runAdmin(holdall, 'tokens', 'create', ...words, ...named)
  const [secret] = lines
  if (!secret) throw new Error(complained)
  return { id: /tok_\w+/.exec(complained)?.[0] ?? '', secret }
}

/** Takes the bond to a workspace from a token, for who shall have one that is not bound. */
export async function unbind(holdall: TestServer, tokenId: string): Promise<void> {
  const { db } = holdall.app
  await db.updateTable('apiTokens').set({ workspaceId: null }).where('id', '=', tokenId).execute()
}
