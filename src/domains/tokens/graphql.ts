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
import { HIDDEN_FROM_OTHERS, restrictForOthers } from './token-policy.ts'
import { createApiToken } from './writes.ts'

nodeType('tok', 'ApiToken', async (ids, { db, viewer }) => {
  const rows = await tokensById(db, ids)
  return Promise.all(rows.map(async (row) => ((await mayManage(db, viewer, row)) ? row : null)))
})

/**
 * Loads a token by id. If the viewer may not manage it, only its id, name, user and creation time are
 * visible.
 */
const loadActingToken = loader(async (ids, { db, viewer }) => {
  const rows = await tokensById(db, ids)
  return Promise.all(
    rows.map(async (row) =>
      row && !(await mayManage(db, viewer, row)) ? restrictForOthers(row) : row,
    ),
  )
})

const actingToken = ({ tokenId }: { tokenId: string | null }, _: unknown, context: Context) =>
  tokenId === null ? null : loadActingToken(context, tokenId)

builder.objectField(ActivityEvent, 'token', (t) =>
  t.field({
    type: ApiToken,
    nullable: true,
    description: `The token with which the action was done. ${HIDDEN_FROM_OTHERS}`,
    resolve: actingToken,
  }),
)

builder.objectField(ServerEvent, 'token', (t) =>
  t.field({
    type: ApiToken,
    nullable: true,
    description: `The token with which the action was done. ${HIDDEN_FROM_OTHERS}`,
    resolve: actingToken,
  }),
)

builder.objectField(Workspace, 'apiTokens', (t) =>
  t.connection(
    {
      type: ApiToken,
      description:
        'The tokens that are bound to this workspace and not revoked, oldest first. Requires role OWNER and scope TOKENS_WRITE.',
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
        'The tokens of the viewer that are not revoked, oldest first; a token that is bound to a workspace sees only those bound to the same one. Requires scope TOKENS_WRITE.',
      resolve: async (viewer, args, { db }) =>
        page(args, ownTokensList(db, requireTokensWrite(viewer))),
    },
    ...connectionOf(ApiToken, 'ApiToken'),
  ),
)

mutation('createApiToken', {
  description:
    'Creates a token with some of the scopes of the current token. It is for the viewer, or for a service account if the viewer has role OWNER, and ends with the current token. Requires scope TOKENS_WRITE.',
  input: builder.inputType('CreateApiTokenInput', {
    fields: (t) => ({
      name: t.string({
        required: true,
        description: 'The name of the token, of 1 to 200 characters.',
      }),
      scopes: t.field({
        type: [ApiScopeEnum],
        required: true,
        description: 'The scopes of the token, all of which the current token must have.',
      }),
      workspaceId: t.id({
        description:
          'The workspace to bind the token to, so that it can access no other; by default that of the current token.',
      }),
      userId: t.id({
        description:
          'The service account of the workspace for which to create the token, by default the viewer.',
      }),
      expiresAt: t.field({
        type: 'DateTime',
        description: 'When the token expires, at the latest and by default with the current token.',
      }),
    }),
  }),
  payload: builder
    .objectRef<{ token: TokenRow; secret: string }>('CreateApiTokenPayload')
    .implement({
      fields: (t) => ({
        token: t.expose('token', { type: ApiToken, description: 'The new token.' }),
        secret: t.exposeString('secret', {
          description: 'The secret of the token, which the server returns only here.',
        }),
      }),
    }),
  resolve: (input, context) => createApiToken(context, input),
})

mutation('revokeApiToken', {
  description:
    'Revokes a token of the viewer, or one that is bound to a workspace in which the viewer has role OWNER. Requires scope TOKENS_WRITE.',
  input: builder.inputType('RevokeApiTokenInput', {
    fields: (t) => ({
      tokenId: t.id({ required: true, description: 'The token to revoke.' }),
      cascade: t.boolean({
        required: true,
        defaultValue: true,
        description:
          'Whether to revoke its descendants as well: tokens created with it, directly or through other tokens. With false they stay until it or one of its ancestors is revoked with true; a token cannot use false for its own ancestors.',
      }),
    }),
  }),
  payload: builder.objectRef<{ token: TokenRow }>('RevokeApiTokenPayload').implement({
    fields: (t) => ({
      token: t.expose('token', { type: ApiToken, description: 'The revoked token.' }),
    }),
  }),
  resolve: async (input, context) => ({ token: await revokeApiToken(context, input) }),
})

mutation('revokeAllApiTokens', {
  description:
    'Revokes all tokens of the viewer and their descendants; a token that is bound to a workspace revokes only those bound to the same one. Requires scope TOKENS_WRITE.',
  input: builder.inputType('RevokeAllApiTokensInput', {
    fields: (t) => ({
      keepCurrent: t.boolean({
        required: true,
        defaultValue: true,
        description:
          'Whether to keep the token of this request, even if its parent is revoked; it ends when that parent is revoked again.',
      }),
    }),
  }),
  payload: builder.objectRef<{ revokedCount: number }>('RevokeAllApiTokensPayload').implement({
    fields: (t) => ({
      revokedCount: t.exposeInt('revokedCount', { description: 'Number of revoked tokens.' }),
    }),
  }),
  resolve: async (input, context) => ({ revokedCount: await revokeAllApiTokens(context, input) }),
})
