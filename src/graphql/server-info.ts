import about from '../../package.json' with { type: 'json' }
import { builder } from './builder.ts'
import type { Context } from './context.ts'
import { maxPageSize } from './pages.ts'

/** What /uploads understands beyond the core of tus 1.0. */
export const tusExtensions = [
  'creation',
  'creation-with-upload',
  'creation-defer-length',
  'termination',
  'expiration',
  'checksum',
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
    tusExtensions: t.stringList({ resolve: () => tusExtensions }),
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
