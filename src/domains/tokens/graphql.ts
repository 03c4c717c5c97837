import { builder } from '../../graphql/builder.ts'
import type { Context } from '../../graphql/context.ts'
import { mutation } from '../../graphql/mutations.ts'
import { loader, nodeType } from '../../graphql/nodes.ts'
import { connectionOf, page } from '../../graphql/pages.ts'
import { ApiScopeEnum, ApiToken, Viewer } from '../accounts/graphql.ts'
import { type TokenRow, tokensById } from '../accounts/reads.ts'
import { ActivityEvent } from '../activity/graphql.ts'
import { ServerEvent } from '../server-activity/graphql.ts'
import { Workspace } from '../workspaces/graphql.ts'
import { requireAccess } from '../workspaces/reads.ts'
import { mayManage, ownTokensList, requireTokensWrite, tokensList } from './reads.ts'
import { revokeAllApiTokens, revokeApiToken } from './revoking.ts'
import { HIDDEN_FROM_OTHERS, seenByOthers } from './token-policy.ts'
import { createApiToken } from './writes.ts'

nodeType('tok', 'ApiToken', async (ids, { db, viewer }) => {
  const rows = await tokensById(db, ids)
  return Promise.all(rows.map(async (row) => ((await mayManage(db, viewer, row)) ? row : null)))
})

/** A token by id, of which only the id and the name are shown to a viewer who does not manage it. */
const loadActingToken = loader(async (ids, { db, viewer }) => {
  const rows = await tokensById(db, ids)
  return Promise.all(
    rows.map(async (row) => (row && !(await mayManage(db, viewer, row)) ? seenByOthers(row) : row)),
  )
})

const actingToken = ({ tokenId }: { tokenId: string | null }, _: unknown, context: Context) =>
  tokenId === null ? null : loadActingToken(context, tokenId)

builder.objectField(ActivityEvent, 'token', (t) =>
  t.field({
    type: ApiToken,
    nullable: true,
    description: `The token with which it was done. ${HIDDEN_FROM_OTHERS}`,
    resolve: actingToken,
  }),
)

builder.objectField(ServerEvent, 'token', (t) =>
  t.field({
    type: ApiToken,
    nullable: true,
    description: `The token with which it was done. ${HIDDEN_FROM_OTHERS}`,
    resolve: actingToken,
  }),
)

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

builder.objectField(Viewer, 'apiTokens', (t) =>
  t.connection(
    {
      type: ApiToken,
      description:
        'Your own tokens that are not revoked, oldest first; with a token that is bound to a workspace those bound to the same one. Scope TOKENS_WRITE.',
      resolve: async (viewer, args, { db }) =>
        page(args, ownTokensList(db, requireTokensWrite(viewer))),
    },
    ...connectionOf(ApiToken, 'ApiToken'),
  ),
)

mutation('createApiToken', {
  description:
    'A token with some of your scopes, for yourself or, as OWNER, for a service account. It ends with the token that creates it. Scope TOKENS_WRITE.',
  input: builder.inputType('CreateApiTokenInput', {
    fields: (t) => ({
      name: t.string({ required: true }),
      scopes: t.field({ type: [ApiScopeEnum], required: true }),
      workspaceId: t.id({ description: 'Bound to it, the token sees no other workspace.' }),
      userId: t.id({
        description: 'A service account of the workspace, whose OWNER you are; absent: you.',
      }),
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
  description:
    'Your own token, or one bound to a workspace that you own, with all tokens that were made with it. Scope TOKENS_WRITE.',
  input: builder.inputType('RevokeApiTokenInput', {
    fields: (t) => ({
      tokenId: t.id({ required: true }),
      cascade: t.boolean({
        required: true,
        defaultValue: true,
        description:
          'Whether the tokens that were made with it end, too, however indirectly. With false they stay, and end once it, or one with which it was made, is revoked with true; a token cannot ask for that of one with which it was made itself.',
      }),
    }),
  }),
  payload: builder
    .objectRef<{ token: TokenRow }>('RevokeApiTokenPayload')
    .implement({ fields: (t) => ({ token: t.expose('token', { type: ApiToken }) }) }),
  resolve: async (input, context) => ({ token: await revokeApiToken(context, input) }),
})

mutation('revokeAllApiTokens', {
  description:
    'Revokes your own tokens, with all tokens that were made with them; with a token that is bound to a workspace those bound to the same one. Scope TOKENS_WRITE.',
  input: builder.inputType('RevokeAllApiTokensInput', {
    fields: (t) => ({
      keepCurrent: t.boolean({
        required: true,
        defaultValue: true,
        description:
          'Whether the token of this request stays, also where it was made with another; it ends once that one is revoked again.',
      }),
    }),
  }),
  payload: builder.objectRef<{ revokedCount: number }>('RevokeAllApiTokensPayload').implement({
    fields: (t) => ({
      revokedCount: t.exposeInt('revokedCount', { description: 'How many tokens were revoked.' }),
    }),
  }),
  resolve: async (input, context) => ({ revokedCount: await revokeAllApiTokens(context, input) }),
})
