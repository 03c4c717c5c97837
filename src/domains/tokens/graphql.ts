import { builder } from '../../graphql/builder.ts'
import { mutation } from '../../graphql/mutations.ts'
import { nodeType } from '../../graphql/nodes.ts'
import { connectionOf, page } from '../../graphql/pages.ts'
import { ApiScopeEnum, ApiToken } from '../accounts/graphql.ts'
import { type TokenRow, tokensById } from '../accounts/reads.ts'
import { Workspace } from '../workspaces/graphql.ts'
import { requireAccess } from '../workspaces/reads.ts'
import { mayManage, tokensList } from './reads.ts'
import { createApiToken, revokeApiToken } from './writes.ts'

nodeType('tok', 'ApiToken', async (ids, { db, viewer }) => {
  const rows = await tokensById(db, ids)
  return Promise.all(rows.map(async (row) => ((await mayManage(db, viewer, row)) ? row : null)))
})

builder.objectField(Workspace, 'apiTokens', (t) =>
  t.connection(
    {
      type: ApiToken,
      description: 'Those bound to this workspace. OWNER, scope TOKENS_WRITE.',
      resolve: async ({ id }, args, { db, viewer }) => {
        await requireAccess(db, viewer, id, { scope: 'TOKENS_WRITE', role: 'OWNER' })
        return page(args, tokensList(db, id))
      },
    },
    ...connectionOf(ApiToken, 'ApiToken'),
  ),
)

mutation('createApiToken', {
  description: 'A token with some of your scopes. Scope TOKENS_WRITE.',
  input: builder.inputType('CreateApiTokenInput', {
    fields: (t) => ({
      name: t.string({ required: true }),
      scopes: t.field({ type: [ApiScopeEnum], required: true }),
      workspaceId: t.id({ description: 'Bound to it, the token sees no other workspace.' }),
      userId: t.id({ description: 'A member of the workspace; absent: you.' }),
      expiresAt: t.field({ type: 'DateTime' }),
    }),
  }),
  payload: builder
    .objectRef<{ token: TokenRow; secret: string }>('CreateApiTokenPayload')
    .implement({
      fields: (t) => ({
        token: t.expose('token', { type: ApiToken }),
        secret: t.exposeString('secret', { description: 'Shown once.' }),
      }),
    }),
  resolve: (input, context) => createApiToken(context, input),
})

mutation('revokeApiToken', {
  description: 'Your own token, or one bound to a workspace that you own. Scope TOKENS_WRITE.',
  input: builder.inputType('RevokeApiTokenInput', {
    fields: (t) => ({ tokenId: t.id({ required: true }) }),
  }),
  payload: builder
    .objectRef<{ token: TokenRow }>('RevokeApiTokenPayload')
    .implement({ fields: (t) => ({ token: t.expose('token', { type: ApiToken }) }) }),
  resolve: async ({ tokenId }, context) => ({ token: await revokeApiToken(context, tokenId) }),
})
