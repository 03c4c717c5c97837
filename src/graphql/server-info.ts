import about from '../../package.json' with { type: 'json' }
import { builder } from './builder.ts'
import type { Context, RateLimit } from './context.ts'
import { listCost, maxPageSize } from './limits/costs.ts'

/** The extensions of tus 1.0 that /uploads supports. */
export const tusExtensions = [
  'creation',
  'creation-with-upload',
  'creation-defer-length',
  'termination',
  'expiration',
  'checksum',
  'concatenation',
  'concatenation-unfinished',
]

const ServerInfo = builder.objectRef<Context>('ServerInfo').implement({
  description: 'The version and the limits of this server.',
  fields: (t) => ({
    version: t.string({
      description: 'The version of Holdall.',
      resolve: () => about.version,
    }),
    tusUrl: t.field({
      type: 'URL',
      description: 'The URL where a tus client creates uploads with POST.',
      resolve: ({ publicUrl }) => `${publicUrl}/uploads`,
    }),
    tusExtensions: t.stringList({
      description: 'The tus extensions that the server supports.',
      complexity: listCost(tusExtensions.length),
      resolve: () => tusExtensions,
    }),
    maxUploadBytes: t.field({
      type: 'ByteCount',
      description: 'Maximum size of one upload, in bytes.',
      resolve: ({ limits }) => limits.maxUploadBytes,
    }),
    maxPageSize: t.int({
      description: 'Maximum number of objects on one page of a list.',
      resolve: () => maxPageSize,
    }),
    maxQueryCost: t.int({
      description: 'Maximum cost of one request; a higher cost is rejected with QUERY_TOO_COMPLEX.',
      resolve: ({ limits }) => limits.maxQueryCost,
    }),
  }),
})

builder.queryField('serverInfo', (t) =>
  t.field({
    type: ServerInfo,
    description: 'Returns the version and the limits of this server.',
    resolve: (_, __, context) => context,
  }),
)

const RateLimitType = builder.objectRef<RateLimit>('RateLimit').implement({
  description:
    'The points per minute of a token, or of an address without a token. A GraphQL request uses its query cost, any other request one point; a request that exceeds the remaining points is rejected with RATE_LIMITED.',
  fields: (t) => ({
    limit: t.exposeInt('limit', {
      description: 'Points per minute; 0 means unlimited, and `remaining` has no meaning then.',
    }),
    cost: t.exposeInt('cost', { description: 'The cost of this request, in points.' }),
    remaining: t.exposeInt('remaining', {
      description: 'The points that are left after this request.',
    }),
    resetAt: t.expose('resetAt', {
      type: 'DateTime',
      description: 'When all points are available again.',
    }),
  }),
})

builder.queryField('rateLimit', (t) =>
  t.field({
    type: RateLimitType,
    description: 'Returns the rate limit of the caller.',
    resolve: (_, __, { rateLimit }) => rateLimit(),
  }),
)
