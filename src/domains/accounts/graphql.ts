import { apiScopes, type Viewer as ScopeViewer } from '../../context.ts'
import type { UserKind } from '../../database/tables.ts'
import { builder } from '../../graphql/builder.ts'
import { listCost } from '../../graphql/costs.ts'
import { loader, Node } from '../../graphql/nodes.ts'
import { type TokenRow, tokensById, type UserRow, usersById } from './reads.ts'
import { parseScopes } from './rules.ts'

export const ApiScopeEnum = builder.enumType('ApiScope', { values: apiScopes })

/** A user by id, from inside a type that the viewer may see. */
export const loadUser = loader((ids, { db }) => usersById(db, ids))
const loadToken = loader((ids, { db }) => tokensById(db, ids))

const UserKindEnum = builder.enumType('UserKind', {
  values: {
    PERSON: { description: 'Creates tokens for themselves.' },
    SERVICE: {
      description:
        'A service account: belongs to one workspace, whose OWNERs create and revoke its tokens.',
    },
  } satisfies Record<UserKind, object>,
})

export const User = builder.objectRef<UserRow>('User').implement({
  interfaces: [Node],
  fields: (t) => ({
    id: t.exposeID('id'),
    name: t.exposeString('name'),
    kind: t.expose('kind', {
      type: UserKindEnum,
      description: 'Whether a person or a program acts as this user.',
    }),
  }),
})

export const ApiToken = builder.objectRef<TokenRow>('ApiToken').implement({
  interfaces: [Node],
  fields: (t) => ({
    id: t.exposeID('id'),
    name: t.exposeString('name'),
    prefix: t.exposeString('prefix', { description: 'The first characters of the secret.' }),
    scopes: t.field({
      type: [ApiScopeEnum],
      complexity: listCost(apiScopes.length),
      resolve: ({ scopes }) => parseScopes(scopes),
    }),
    createdAt: t.expose('createdAt', { type: 'DateTime' }),
    expiresAt: t.expose('expiresAt', { type: 'DateTime', nullable: true }),
    lastUsedAt: t.expose('lastUsedAt', {
      type: 'DateTime',
      nullable: true,
      description: 'To the minute.',
    }),
    user: t.field({
      type: User,
      description: 'The user who acts by this token.',
      resolve: async ({ userId }, _, context) => (await loadUser(context, userId)) as UserRow,
    }),
    issuer: t.field({
      type: User,
      nullable: true,
      description:
        'The user who created it; null where that was done on the server, or by a version that did not record it.',
      resolve: ({ issuerId }, _, context) =>
        issuerId === null ? null : loadUser(context, issuerId),
    }),
  }),
})

export const Viewer = builder.objectRef<NonNullable<ScopeViewer>>('Viewer').implement({
  description: 'Who asks: the user whose token came with the request.',
  fields: (t) => ({
    user: t.field({
      type: User,
      resolve: async ({ userId }, _, context) => (await loadUser(context, userId)) as UserRow,
    }),
    token: t.field({
      type: ApiToken,
      nullable: true,
      resolve: ({ tokenId }, _, context) => loadToken(context, tokenId),
    }),
    scopes: t.field({
      type: [ApiScopeEnum],
      complexity: listCost(apiScopes.length),
      resolve: ({ scopes }) => [...scopes],
    }),
  }),
})

builder.queryField('viewer', (t) =>
  t.field({
    type: Viewer,
    nullable: true,
    description: 'Null without a token.',
    resolve: (_, _args, { viewer }) => viewer,
  }),
)
