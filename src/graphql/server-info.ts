import about from '../../package.json' with { type: 'json' }
import { builder } from './builder.ts'
import type { Context, RateLimit } from './context.ts'
import { listCost, maxPageSize } from './costs.ts'

/** What /uploads understands beyond the core of tus 1.0. */
export const tusExtensions = [
  'creation',
  'creation-with-upload',
  'creation-defer-length',
  'termination',
  'expiration',
  'checksum',
  'concatenation',
]

const ServerInfo = builder.objectRef<Context>('ServerInfo').implement({
  description: 'What this server is and how much it takes.',
  fields: (t) => ({
    version: t.string({ resolve: () => about.version }),
    tusUrl: t.field({
      type: 'URL',
      description: 'Where a tus client POSTs its own uploads.',
      resolve: ({ publicUrl }) => `${publicUrl}/uploads`,
    }),
    tusExtensions: t.stringList({
      complexity: listCost(tusExtensions.length),
      resolve: () => tusExtensions,
    }),
    maxUploadBytes: t.field({ type: 'ByteCount', resolve: ({ limits }) => limits.maxUploadBytes }),
    maxPageSize: t.int({ resolve: () => maxPageSize }),
    maxQueryCost: t.int({
      description: 'A request that costs more is answered with QUERY_TOO_COMPLEX.',
      resolve: ({ limits }) => limits.maxQueryCost,
    }),
  }),
})

builder.queryField('serverInfo', (t) =>
  t.field({ type: ServerInfo, resolve: (_, __, context) => context }),
)

const RateLimitType = builder.objectRef<RateLimit>('RateLimit').implement({
  description:
    'Points that a token has in a minute, or an address without one. A GraphQL request takes what its query costs, any other request one; what asks for more than is left is answered with RATE_LIMITED.',
  fields: (t) => ({
    limit: t.exposeInt('limit', { description: '0: there is none, and remaining says nothing.' }),
    cost: t.exposeInt('cost', { description: 'Of this request.' }),
    remaining: t.exposeInt('remaining', { description: 'With this request paid.' }),
    resetAt: t.expose('resetAt', { type: 'DateTime' }),
  }),
})

builder.queryField('rateLimit', (t) =>
  t.field({ type: RateLimitType, resolve: (_, __, { rateLimit }) => rateLimit() }),
)
