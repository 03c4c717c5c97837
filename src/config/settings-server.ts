import { z } from 'zod'
import { bearerToken, listOf, publicUrl, setting, trueOrFalse, wholeNumber } from './setting.ts'

const logLevels = ['silent', 'fatal', 'error', 'warn', 'info', 'debug', 'trace'] as const
export type LogLevel = (typeof logLevels)[number]

/**
 * A column of an operator's table that may contain paths, with the other columns (`extras`) that may be read
 * and written. `workspace` is the slug of a workspace, or null for all.
 */
export type LinkableColumn = {
  table: string
  column: string
  extras: string[]
  workspace: string | null
}

/** An origin as browsers send it; one with a * would never match. */
const origin = z.string().refine(isOrigin)

function isOrigin(word: string) {
  return /^https?:[^*]+$/.test(word) && URL.canParse(word) && new URL(word).origin === word
}

const linkable = z
  .string()
  .regex(/^[A-Za-z_]\w{0,62}\.[A-Za-z_]\w{0,62}(\+[A-Za-z_]\w{0,62})*(@[a-z0-9-]{1,63})?$/)
  .transform((word): LinkableColumn => {
    const [table = '', columns = '', workspace = null] = word.split(/[.@]/)
    const [column = '', ...extras] = columns.split('+')
    return { table, column, extras, workspace }
  })

/** The settings of the server and of its interfaces. */
export const serverSettings = {
  HOST: setting({
    description: 'Address to listen on. 0.0.0.0 or :: accepts connections from other machines.',
    default: '127.0.0.1',
    expected: 'an address or a host name',
    schema: z
      .string()
      .regex(/^[\w.:-]+$/)
      .default('127.0.0.1'),
  }),
  PORT: setting({
    description: 'Port to listen on. 0 chooses a free port.',
    default: '4000',
    expected: 'a whole number from 0 to 65535',
    schema: wholeNumber(0, 65_535).default(4000),
  }),
  PUBLIC_URL: setting({
    description:
      'URL at which clients reach the server, with its path if the proxy removes one; upload and download links begin with it.',
    default: 'taken from each request',
    expected: 'a URL such as https://files.example.org, without ? and #',
    schema: publicUrl.nullable().default(null),
  }),
  ADMIN_TOKEN: setting({
    secret: true,
    description: 'Token of the owner, read only on the very first start.',
    default: 'a random one, printed once',
    expected: '20 to 200 letters, digits and - . _ ~ + /',
    schema: bearerToken.nullable().default(null),
  }),
  CORS_ORIGINS: setting({
    description:
      'Origins of web pages that may call the server from a browser, separated by commas.',
    default: 'none',
    expected: 'origins separated by commas, such as https://app.example.org,http://localhost:5173',
    schema: listOf(origin).default([]),
  }),
  LOG_LEVEL: setting({
    description: `Log level: ${logLevels.join(', ')}. debug logs every request.`,
    default: 'info',
    expected: `one of ${logLevels.join(', ')}`,
    schema: z.enum(logLevels).default('info'),
  }),
  INTROSPECTION: setting({
    description:
      'Who may use introspection and gets suggestions in errors: on (everyone), authenticated (clients with a token), or off (no one).',
    default: 'on',
    expected: 'one of on, authenticated, off',
    schema: z.enum(['on', 'authenticated', 'off']).default('on'),
  }),
  PERSISTED_DOCUMENTS: setting({
    description:
      'Which GraphQL documents clients may refer to by their SHA-256: off (none), apq (automatic persisted queries: those that clients with a token have sent before), or only (those of PERSISTED_DOCUMENTS_FILE; all others, introspection and GraphiQL included, are rejected).',
    default: 'off',
    expected: 'one of off, apq, only',
    schema: z.enum(['off', 'apq', 'only']).default('off'),
  }),
  PERSISTED_DOCUMENTS_FILE: setting({
    description:
      'File of the documents for PERSISTED_DOCUMENTS=only: a JSON object of documents by their SHA-256 in lower-case hex, at most 16 MiB. It is read and checked against the schema at the start.',
    default: 'none',
    expected: 'the path of a file',
    schema: z.string().nullable().default(null),
  }),
  TRUST_PROXY: setting({
    description:
      'Set it to true behind a proxy that sets X-Forwarded-Proto, -Host and -For: the server then trusts these headers, and -Port and -Prefix.',
    default: 'false',
    expected: 'true or false',
    schema: trueOrFalse.default(false),
  }),
  DRAIN_SECONDS: setting({
    description:
      'Seconds after SIGTERM during which GraphQL is still served while /readyz returns 503, so that a load balancer stops sending requests before the port closes.',
    default: '5',
    expected: 'a whole number from 0 to 3600',
    schema: wholeNumber(0, 3600).default(5),
  }),
  METRICS: setting({
    description: 'open: /metrics is served without a token, to every client that reaches PORT.',
    default: 'token: requires METRICS_TOKEN',
    expected: 'token or open',
    schema: z
      .enum(['token', 'open'])
      .transform((word) => word === 'open')
      .default(false),
  }),
  METRICS_TOKEN: setting({
    secret: true,
    description: 'Bearer token for /metrics on PORT and METRICS_PORT. API tokens are not accepted.',
    default: 'none: /metrics is not found on PORT',
    expected: '20 to 200 letters, digits and - . _ ~ + /',
    schema: bearerToken.nullable().default(null),
  }),
  METRICS_PORT: setting({
    description:
      'Separate port for /metrics on the address of HOST; it serves nothing else and requires no token unless METRICS_TOKEN is set.',
    default: 'none',
    expected: 'a whole number from 1 to 65535',
    schema: wholeNumber(1, 65_535).nullable().default(null),
  }),
  LINKABLE_TABLES: setting({
    description:
      "Columns of your own tables in the server's database that may contain paths of files: table.column for all workspaces, each of which sees the rows that it linked; table.column@slug for one workspace, which sees all rows. Other columns are read and written only if they are named: table.column+a+b@slug.",
    default: 'none',
    expected: 'table.column, table.column+a+b or table.column@workspace-slug, separated by commas',
    schema: listOf(linkable).default([]),
  }),
}
