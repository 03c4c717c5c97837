import type { WorkspaceRole } from '../../src/database/tables.ts'
import { type ApiScope, apiScopes } from '../../src/scope.ts'
import { act } from './client.ts'
import type { House } from './house.ts'

type As = { token?: string | null }
export type Person = { userId: string; email: string; token: string; tokenId: string }

let people = 0

/** A new member of a workspace, with a token bound to it that has `scopes`: all, where none are named. */
export async function invite(
  house: House,
  workspaceId: string,
  role: WorkspaceRole = 'EDITOR',
  scopes: readonly ApiScope[] = apiScopes,
): Promise<Person> {
  const email = `somebody-${++people}@example.org`
  const input = { workspaceId, email, role }
  const { member } = await act(house, 'addMember', input, 'member { user { id } }')
  const userId: string = member.user.id
  const { secret, id } = await giveToken(house, { workspaceId, userId, scopes })
  return { userId, email, token: secret, tokenId: id }
}

/** A new token of one's own, with all scopes where `input` does not say otherwise. */
export async function giveToken(
  house: House,
  input: Record<string, unknown> = {},
  as: As = {},
): Promise<{ id: string; secret: string }> {
  const wanted = { name: 'a token', scopes: apiScopes, ...input }
  const { token, secret } = await act(house, 'createApiToken', wanted, 'secret token { id }', as)
  return { id: token.id, secret }
}

/** Takes the bond to a workspace from a token: nobody can be let in with such a one, yet its holder may have made it. */
export async function unbind(house: House, tokenId: string): Promise<void> {
  const { db } = house.app
  await db.updateTable('apiTokens').set({ workspaceId: null }).where('id', '=', tokenId).execute()
}
