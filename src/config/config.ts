import { resolve, sep } from 'node:path'
import { z } from 'zod'

export type DatabaseConfig =
  | { kind: 'sqlite'; path: string }
  | {
      kind: 'postgres'
      url: string
      /** The URL to which LISTEN connects, for notifications of other processes. */
      listenUrl: string
      poolSize: number
      /** Maximum duration of a statement; 0 sets no limit. */
      statementTimeoutMs: number
      /** How long a transaction may be idle while it holds its locks. */
      lockIdleMs: number
    }
export type BlobsConfig = { kind: 'disk'; dir: string } | S3Config
export type S3Config = {
  kind: 's3'
  bucket: string
  /** The URL of the S3 server; null for Amazon's server of the region. */
  endpoint: string | null
  region: string
  /** Whether URLs have the bucket in the path instead of the host name. */
  forcePathStyle: boolean
  /** Prefix of all keys in the bucket: empty, or with a trailing slash. */
  prefix: string
  sse: { algorithm: 'AES256' } | { algorithm: 'aws:kms'; keyId: string | null } | null
  /** Whether writes are sent with a CRC-32. */
  checksums: boolean
}

export type Limits = {
  /** Maximum size of a file, in bytes. */
  maxUploadBytes: number
  /** Maximum size of a file in a form, in bytes. */
  maxFormBytes: number
  /** Time after which an unfinished upload without new bytes expires. */
  uploadTtlMs: number
  /** Maximum number of unfinished uploads per user. */
  maxOpenUploads: number
  /** Maximum number of bytes reserved by the unfinished uploads of one user. */
  maxReservedBytes: number
  /** Maximum cost of one GraphQL request, in points. */
  maxQueryCost: number
  /** Maximum number of objects in the response to one GraphQL request. */
  maxResponseNodes: number
  /** Maximum size of the response to one GraphQL request, in bytes. */
  maxResponseBytes: number
  /** Maximum duration of the reads of one GraphQL request. */
  requestTimeoutMs: number
}

type ScrubConfig = { everyMs: number; bytesPerSecond: number }

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

export type Config = {
  host: string
  port: number
  /** URL at which clients reach the server, without a trailing slash; null to take it from each request. */
  publicUrl: string | null
  dataDir: string
  database: DatabaseConfig
  blobs: BlobsConfig
  /** Whether downloads go through the server, or clients are redirected to the bucket. */
  downloads: 'redirect' | 'proxy'
  /** Bytes to keep free on each disk; null for 256 MiB or 1 % of the disk, whichever is less. */
  diskReserveBytes: number | null
  /** How long objects without a row stay in quarantine before they are deleted. */
  quarantineMs: number
  /** The store and database that an operator permits to use together although they do not belong together. */
  adoptStore: string | null
  /** Which files are hashed before they are served: all, small ones that may have changed, or none. */
  verifyReads: 'small' | 'all' | 'off'
  /** Period and speed at which all stored bytes are read and hashed; null for never. */
  scrub: ScrubConfig | null
  adminToken: string | null
  limits: Limits
  corsOrigins: string[]
  /** Points per minute for each token or address; null for no limit. */
  rateLimit: number | null
  /** Maximum number of bytes that a link may send in 24 hours; null for no limit. */
  linkBytesPerDay: number | null
  /** Maximum number of concurrent downloads of a link; null for no limit. */
  maxDownloadsPerLink: number | null
  /** Maximum number of concurrent requests of an address; null for no limit. */
  maxRequestsPerAddress: number | null
  logLevel: LogLevel
  /** Whether X-Forwarded-* headers of the nearest proxy are trusted. */
  trustProxy: boolean
  /** Who may use introspection. */
  introspection: 'on' | 'authenticated' | 'off'
  metrics: MetricsConfig
  linkableTables: LinkableColumn[]
  /** How long GraphQL is served after SIGTERM before the listener closes. */
  drainMs: number
}

/** Who may read /metrics: everyone if `open`, clients with `token`, and clients of the separate `port`. */
export type MetricsConfig = { open: boolean; token: string | null; port: number | null }

const logLevels = ['silent', 'fatal', 'error', 'warn', 'info', 'debug', 'trace'] as const
type LogLevel = (typeof logLevels)[number]

/** The server or command cannot start because of its environment. Each sentence says what to correct. */
export class StartupError extends Error {
  constructor(...sentences: string[]) {
    super(sentences.join('\n'))
  }
}

type Setting<T> = {
  meaning: string
  /** The default value, as documented in docs/configuration.md. */
  default: string
  /** Completes "it must be …" in the error message. */
  right: string
  schema: z.ZodType<T>
}

const setting = <T>(of: Setting<T>) => of

const wholeNumber = (from: number, to: number) =>
  z.string().regex(/^\d+$/).transform(Number).pipe(z.int().min(from).max(to))

/** A token of characters that an Authorization header can contain, long enough not to be guessed. */
const bearerToken = z.string().regex(/^[\w.~+/-]{20,200}$/)

/** The maximum of GraphQL's Int, the type in which these values are published. */
const MAX_INT = 2_147_483_647

const httpUrl = z.url({ protocol: /^https?$/ })
const publicUrl = httpUrl.regex(/^[^?#]+$/).transform((url) => url.replace(/\/+$/, ''))
/** An origin as browsers send it; one with a * would never match. */
const origin = z.string().refine(isOrigin)

const postgresUrl = z
  .string()
  .regex(/^postgres(ql)?:\/\/./i)
  .refine((url) => URL.canParse(url))
  .transform((url) => ({ kind: 'postgres' as const, url }))

/** A path, with or without `sqlite:` before it. URLs with other schemes are rejected. */
const sqlitePath = z
  .string()
  .transform((url) => url.replace(/^sqlite:(\/\/(?=\/))?/, ''))
  .refine((path) => path !== '' && !/^[a-z][a-z0-9+.-]+:|^:memory:$/i.test(path))
  .transform((path) => ({ kind: 'sqlite' as const, path: resolve(path) }))

const linkable = z
  .string()
  .regex(/^[A-Za-z_]\w{0,62}\.[A-Za-z_]\w{0,62}(\+[A-Za-z_]\w{0,62})*(@[a-z0-9-]{1,63})?$/)
  .transform((word): LinkableColumn => {
    const [table = '', columns = '', workspace = null] = word.split(/[.@]/)
    const [column = '', ...extras] = columns.split('+')
    return { table, column, extras, workspace }
  })

/** All environment variables of the application. No other module defines any. */
export const settings = {
  HOST: setting({
    meaning: 'Address to listen on. 0.0.0.0 or :: accepts connections from other machines.',
    default: '127.0.0.1',
    right: 'an address or a host name',
    schema: z
      .string()
      .regex(/^[\w.:-]+$/)
      .default('127.0.0.1'),
  }),
  PORT: setting({
    meaning: 'Port to listen on. 0 chooses a free port.',
    default: '4000',
    right: 'a whole number from 0 to 65535',
    schema: wholeNumber(0, 65_535).default(4000),
  }),
  PUBLIC_URL: setting({
    meaning: 'URL at which clients reach the server; upload and download links begin with it.',
    default: 'taken from each request',
    right: 'a URL such as https://files.example.org, without ? and #',
    schema: publicUrl.nullable().default(null),
  }),
  DATA_DIR: setting({
    meaning: 'Folder for the database and the bytes of files.',
    default: './data',
    right: 'a folder',
    schema: z.string().default('./data'),
  }),
  DATABASE_URL: setting({
    meaning: 'The database: postgres://…, sqlite:<path>, or a path.',
    default: 'holdall.db in DATA_DIR',
    right: 'postgres://user:password@host:port/name, sqlite:<path> or a path',
    schema: postgresUrl.or(sqlitePath).nullable().default(null),
  }),
  LISTEN_DATABASE_URL: setting({
    meaning:
      'URL of the same PostgreSQL that bypasses a PgBouncer in transaction mode. Notifications of other processes arrive there at once; without them, changes are noticed within a second.',
    default: 'DATABASE_URL',
    right: 'postgres://user:password@host:port/name',
    schema: postgresUrl.nullable().default(null),
  }),
  DATABASE_POOL: setting({
    meaning: 'Maximum number of connections that one process opens to PostgreSQL.',
    default: '10',
    right: 'a whole number from 1 to 1000',
    schema: wholeNumber(1, 1000).default(10),
  }),
  DATABASE_TIMEOUT_MS: setting({
    meaning:
      'Maximum duration of one PostgreSQL statement, in milliseconds. 0 sets no limit and uses no prepared statements, as PgBouncer requires.',
    default: '30000',
    right: `a whole number from 0 to ${MAX_INT}`,
    schema: wholeNumber(0, MAX_INT).default(30_000),
  }),
  LOCK_IDLE_MS: setting({
    meaning:
      'Milliseconds that a transaction may be idle before PostgreSQL ends it, so that a process that hangs does not keep its locks. Works with PgBouncer.',
    default: '3000',
    right: `a whole number from 100 to ${MAX_INT}`,
    schema: wholeNumber(100, MAX_INT).default(3000),
  }),
  S3_BUCKET: setting({
    meaning:
      'Bucket for the bytes of files. If it is set, they are stored in S3, with the credentials that the AWS SDK finds.',
    default: 'none: the bytes are in DATA_DIR',
    right: 'the name of a bucket: 3 to 63 lower-case letters, digits, dots and hyphens',
    schema: z
      .string()
      .regex(/^[a-z0-9][a-z0-9.-]{1,61}[a-z0-9]$/)
      .nullable()
      .default(null),
  }),
  S3_ENDPOINT: setting({
    meaning: "URL of an S3 server other than Amazon's: MinIO, Ceph, R2 and others.",
    default: 'Amazon, by S3_REGION',
    right: 'a URL such as https://s3.example.org, without ? and #',
    schema: publicUrl.nullable().default(null),
  }),
  S3_REGION: setting({
    meaning: 'Region of the bucket.',
    default: 'us-east-1',
    right: 'the name of a region: letters, digits and hyphens',
    schema: z
      .string()
      .regex(/^[A-Za-z0-9-]{1,63}$/)
      .default('us-east-1'),
  }),
  S3_FORCE_PATH_STYLE: setting({
    meaning: 'true: URLs have the bucket in the path; false: in the host name.',
    default: 'true with S3_ENDPOINT, otherwise false',
    right: 'true or false',
    schema: z
      .enum(['true', 'false'])
      .transform((word) => word === 'true')
      .nullable()
      .default(null),
  }),
  S3_PREFIX: setting({
    meaning: 'Prefix of all keys in the bucket, such as holdall/.',
    default: 'none',
    right: "letters, digits and ! - _ . * ' ( ) /, no slash at the beginning, at most 200",
    schema: z
      .string()
      .regex(/^[\w!.*'()-][\w!.*'()/-]{0,199}$/)
      .transform((prefix) => (prefix.endsWith('/') ? prefix : `${prefix}/`))
      .default(''),
  }),
  S3_SSE: setting({
    meaning: 'Server-side encryption that is requested with every write: AES256, aws:kms, or off.',
    default: 'off: the default of the bucket',
    right: 'one of off, AES256, aws:kms',
    schema: z.enum(['off', 'AES256', 'aws:kms']).default('off'),
  }),
  S3_SSE_KMS_KEY_ID: setting({
    meaning: 'KMS key for S3_SSE=aws:kms.',
    default: "the account's default key",
    right: 'the id, alias or ARN of a key',
    schema: z
      .string()
      .regex(/^[\w:/-]{1,2048}$/)
      .nullable()
      .default(null),
  }),
  S3_CHECKSUM: setting({
    meaning: 'crc32 sends a checksum with every write; off is for servers that do not support it.',
    default: 'crc32',
    right: 'crc32 or off',
    schema: z
      .enum(['crc32', 'off'])
      .transform((word) => word === 'crc32')
      .default(true),
  }),
  DOWNLOADS: setting({
    meaning:
      'How downloads are served: redirect sends clients to a presigned URL of the bucket that is valid for five minutes, proxy sends the bytes through the server.',
    default: 'redirect with S3_BUCKET, unless VERIFY_READS is small or all; otherwise proxy',
    right: 'redirect or proxy',
    schema: z.enum(['redirect', 'proxy']).nullable().default(null),
  }),
  VERIFY_READS: setting({
    meaning:
      'Which files are hashed before they are served: small, files up to 64 MiB that have changed on the disk since they were last hashed; all, every file on every read; off, none. Files that differ from the confirmed bytes are not served. on means all. With S3_BUCKET, small and all send downloads through the server.',
    default: 'small; off with S3_BUCKET',
    right: 'one of small, all, off',
    schema: z
      .enum(['small', 'all', 'off', 'on'])
      .transform((word) => (word === 'on' ? 'all' : word))
      .nullable()
      .default(null),
  }),
  SCRUB_DAYS: setting({
    meaning:
      'All stored bytes are read and hashed once within this number of days, to find damage. 0: never.',
    default: '30',
    right: 'a whole number from 0 to 3650',
    schema: wholeNumber(0, 3650).default(30),
  }),
  SCRUB_BYTES_PER_SECOND: setting({
    meaning: 'Maximum read rate of this scrub, in bytes per second.',
    default: '20000000 (20 MB)',
    right: `a whole number from 1 to ${Number.MAX_SAFE_INTEGER}`,
    schema: wholeNumber(1, Number.MAX_SAFE_INTEGER).default(20_000_000),
  }),
  DISK_RESERVE_BYTES: setting({
    meaning:
      'Bytes to keep free on the disk of the files and on the disk of a SQLite database. With less free space, uploads are rejected, so that rows can still be written.',
    default: '268435456 (256 MiB) or 1 % of the disk, whichever is less',
    right: `a whole number from 0 to ${Number.MAX_SAFE_INTEGER}`,
    schema: wholeNumber(0, Number.MAX_SAFE_INTEGER).nullable().default(null),
  }),
  QUARANTINE_DAYS: setting({
    meaning: 'Days that objects without a row stay in quarantine before they are deleted.',
    default: '7',
    right: 'a whole number from 1 to 3650',
    schema: wholeNumber(1, 3650).default(7),
  }),
  ADOPT_STORE: setting({
    meaning:
      'Allows using a database and a store that do not belong together. Set it to the value in the message of the failed start; it takes effect once and is ignored later.',
    default: 'none',
    right: 'the value in the message of the failed start',
    schema: z
      .string()
      .regex(/^[\w-]{1,100}\/[\w-]{1,100}\/\d{1,15}$/)
      .nullable()
      .default(null),
  }),
  ADMIN_TOKEN: setting({
    meaning: 'Token of the owner, read only on the very first start.',
    default: 'a random one, printed once',
    right: '20 to 200 letters, digits and - . _ ~ + /',
    schema: bearerToken.nullable().default(null),
  }),
  MAX_UPLOAD_BYTES: setting({
    meaning: 'Maximum size of a file, in bytes.',
    default: '5497558138880 (5 TiB)',
    right: `a whole number from 1 to ${Number.MAX_SAFE_INTEGER}`,
    schema: wholeNumber(1, Number.MAX_SAFE_INTEGER).default(5 * 1024 ** 4),
  }),
  MAX_FORM_BYTES: setting({
    meaning: 'Maximum size of a file in POST /files, in bytes; use createUpload for larger files.',
    default: '500000000 (500 MB)',
    right: `a whole number from 1 to ${Number.MAX_SAFE_INTEGER}`,
    schema: wholeNumber(1, Number.MAX_SAFE_INTEGER).default(500_000_000),
  }),
  UPLOAD_TTL_HOURS: setting({
    meaning: 'Hours after which an unfinished upload expires if it receives no bytes.',
    default: '24',
    right: 'a whole number from 1 to 8760',
    schema: wholeNumber(1, 8760).default(24),
  }),
  MAX_OPEN_UPLOADS: setting({
    meaning:
      'Maximum number of uploads of one user that are neither confirmed nor canceled; expired uploads do not count.',
    default: '10000',
    right: `a whole number from 1 to ${MAX_INT}`,
    schema: wholeNumber(1, MAX_INT).default(10_000),
  }),
  MAX_RESERVED_BYTES: setting({
    meaning:
      'Maximum total size of these uploads, announced or received, in bytes; applies in addition to the quotas of workspaces.',
    default: '54975581388800 (50 TiB), or MAX_UPLOAD_BYTES if that is larger',
    right: `a whole number from 1 to ${Number.MAX_SAFE_INTEGER}`,
    schema: wholeNumber(1, Number.MAX_SAFE_INTEGER).nullable().default(null),
  }),
  CORS_ORIGINS: setting({
    meaning: 'Origins of web pages that may call the server from a browser, separated by commas.',
    default: 'none',
    right: 'origins separated by commas, such as https://app.example.org,http://localhost:5173',
    schema: z
      .string()
      .transform((list) => list.split(',').map((item) => item.trim()))
      .pipe(z.array(origin))
      .default([]),
  }),
  RATE_LIMIT: setting({
    meaning: 'Query cost points per minute for each token or address, or off.',
    default: 'off',
    right: `off or a whole number from 1 to ${MAX_INT}`,
    schema: z
      .literal('off')
      .transform(() => null)
      .or(wholeNumber(1, MAX_INT))
      .default(null),
  }),
  LINK_BYTES_PER_DAY: setting({
    meaning:
      'Maximum number of bytes sent in 24 hours without a token, or off: through the links to one version or archive that one token has created; through one share; of one file of a public workspace. Requests beyond it fail with 429.',
    default: 'off',
    right: `off or a whole number from 1 to ${Number.MAX_SAFE_INTEGER}`,
    schema: z
      .literal('off')
      .transform(() => null)
      .or(wholeNumber(1, Number.MAX_SAFE_INTEGER))
      .default(null),
  }),
  MAX_DOWNLOADS_PER_LINK: setting({
    meaning:
      'Maximum number of concurrent downloads without a token through such a link, per process, or off. Requests beyond it fail with 429.',
    default: '200',
    right: `off or a whole number from 1 to ${MAX_INT}`,
    schema: z
      .literal('off')
      .transform(() => null)
      .or(wholeNumber(1, MAX_INT))
      .default(200),
  }),
  MAX_REQUESTS_PER_ADDRESS: setting({
    meaning:
      'Maximum number of concurrent requests of one address (the first 64 bits of an IPv6 address), per process, or off. Requests beyond it fail with 429. Behind a proxy, set TRUST_PROXY; otherwise all clients count as one.',
    default: '2000',
    right: `off or a whole number from 1 to ${MAX_INT}`,
    schema: z
      .literal('off')
      .transform(() => null)
      .or(wholeNumber(1, MAX_INT))
      .default(2000),
  }),
  MAX_QUERY_COST: setting({
    meaning: 'Maximum cost of one GraphQL request; each field of each item costs about one point.',
    default: '20000',
    right: `a whole number from 100 to ${MAX_INT}`,
    schema: wholeNumber(100, MAX_INT).default(20_000),
  }),
  MAX_RESPONSE_NODES: setting({
    meaning:
      'Maximum number of objects in the response to one GraphQL request. They are counted during execution; a request that exceeds the limit fails as a whole with QUERY_TOO_COMPLEX.',
    default: '50000',
    right: `a whole number from 1000 to ${MAX_INT}`,
    schema: wholeNumber(1000, MAX_INT).default(50_000),
  }),
  MAX_RESPONSE_BYTES: setting({
    meaning: 'Maximum size of this response in bytes, counted in the same way.',
    default: '20000000 (20 MB)',
    right: `a whole number from 10000 to ${MAX_INT}`,
    schema: wholeNumber(10_000, MAX_INT).default(20_000_000),
  }),
  REQUEST_TIMEOUT_MS: setting({
    meaning:
      'Milliseconds that the reads of one GraphQL request may take before it fails with TIMEOUT. A mutation field that has started is finished, and the following ones are not started. Subscriptions have no limit.',
    default: '30000',
    right: `a whole number from 100 to ${MAX_INT}`,
    schema: wholeNumber(100, MAX_INT).default(30_000),
  }),
  LOG_LEVEL: setting({
    meaning: `Log level: ${logLevels.join(', ')}. debug logs every request.`,
    default: 'info',
    right: `one of ${logLevels.join(', ')}`,
    schema: z.enum(logLevels).default('info'),
  }),
  INTROSPECTION: setting({
    meaning:
      'Who may use introspection and gets suggestions in errors: on (everyone), authenticated (clients with a token), or off (no one).',
    default: 'on',
    right: 'one of on, authenticated, off',
    schema: z.enum(['on', 'authenticated', 'off']).default('on'),
  }),
  TRUST_PROXY: setting({
    meaning:
      'Set it to true behind a proxy that sets X-Forwarded-Proto, -Host and -For: the server then trusts these headers.',
    default: 'false',
    right: 'true or false',
    schema: z
      .enum(['true', 'false'])
      .transform((word) => word === 'true')
      .default(false),
  }),
  DRAIN_SECONDS: setting({
    meaning:
      'Seconds after SIGTERM during which GraphQL is still served while /readyz returns 503, so that a load balancer stops sending requests before the port closes.',
    default: '5',
    right: 'a whole number from 0 to 3600',
    schema: wholeNumber(0, 3600).default(5),
  }),
  METRICS: setting({
    meaning: 'open: /metrics is served without a token, to every client that reaches PORT.',
    default: 'token: requires METRICS_TOKEN',
    right: 'token or open',
    schema: z
      .enum(['token', 'open'])
      .transform((word) => word === 'open')
      .default(false),
  }),
  METRICS_TOKEN: setting({
    meaning: 'Bearer token for /metrics on PORT and METRICS_PORT. API tokens are not accepted.',
    default: 'none: /metrics is not found on PORT',
    right: '20 to 200 letters, digits and - . _ ~ + /',
    schema: bearerToken.nullable().default(null),
  }),
  METRICS_PORT: setting({
    meaning:
      'Separate port for /metrics on the address of HOST; it serves nothing else and requires no token unless METRICS_TOKEN is set.',
    default: 'none',
    right: 'a whole number from 1 to 65535',
    schema: wholeNumber(1, 65_535).nullable().default(null),
  }),
  LINKABLE_TABLES: setting({
    meaning:
      "Columns of your own tables in the server's database that may contain paths of files: table.column for all workspaces, each of which sees the rows that it linked; table.column@slug for one workspace, which sees all rows. Other columns are read and written only if they are named: table.column+a+b@slug.",
    default: 'none',
    right: 'table.column, table.column+a+b or table.column@workspace-slug, separated by commas',
    schema: z
      .string()
      .transform((list) => list.split(',').map((item) => item.trim()))
      .pipe(z.array(linkable))
      .default([]),
  }),
}

function isOrigin(word: string) {
  return /^https?:[^*]+$/.test(word) && URL.canParse(word) && new URL(word).origin === word
}

type Name = keyof typeof settings
type Values = { [N in Name]: z.output<(typeof settings)[N]['schema']> }
export type Env = { [name: string]: string | undefined }

/**
 * Parses the configuration from environment variables. Throws StartupError with one sentence for each invalid
 * variable.
 */
export function readConfig(env: Env): Config {
  const values = readValues(env)
  const dataDir = resolve(values.DATA_DIR)
  const config: Config = {
    host: values.HOST,
    port: values.PORT,
    publicUrl: values.PUBLIC_URL,
    dataDir,
    database: databaseOf(values, dataDir),
    blobs: blobsOf(values, dataDir),
    downloads: downloadsOf(values),
    diskReserveBytes: values.DISK_RESERVE_BYTES,
    quarantineMs: values.QUARANTINE_DAYS * 86_400_000,
    adoptStore: values.ADOPT_STORE,
    verifyReads: verifyReadsOf(values),
    scrub: scrubOf(values),
    adminToken: values.ADMIN_TOKEN,
    limits: {
      maxUploadBytes: values.MAX_UPLOAD_BYTES,
      maxFormBytes: values.MAX_FORM_BYTES,
      uploadTtlMs: values.UPLOAD_TTL_HOURS * 3_600_000,
      maxOpenUploads: values.MAX_OPEN_UPLOADS,
      maxReservedBytes: reservedBytesOf(values),
      maxQueryCost: values.MAX_QUERY_COST,
      maxResponseNodes: values.MAX_RESPONSE_NODES,
      maxResponseBytes: values.MAX_RESPONSE_BYTES,
      requestTimeoutMs: values.REQUEST_TIMEOUT_MS,
    },
    corsOrigins: values.CORS_ORIGINS,
    rateLimit: values.RATE_LIMIT,
    linkBytesPerDay: values.LINK_BYTES_PER_DAY,
    maxDownloadsPerLink: values.MAX_DOWNLOADS_PER_LINK,
    maxRequestsPerAddress: values.MAX_REQUESTS_PER_ADDRESS,
    logLevel: values.LOG_LEVEL,
    introspection: values.INTROSPECTION,
    trustProxy: values.TRUST_PROXY,
    metrics: {
      open: values.METRICS,
      token: values.METRICS_TOKEN,
      port: values.METRICS_PORT,
    },
    linkableTables: values.LINKABLE_TABLES,
    drainMs: values.DRAIN_SECONDS * 1000,
  }
  assertConsistent(config)
  return config
}

/**
 * Returns the names of the store and the database for messages to the operator. A URL is not included,
 * because it may contain a password.
 */
export const namesOf = ({ blobs, database }: Pick<Config, 'blobs' | 'database'>) => ({
  store:
    blobs.kind === 'disk'
      ? blobs.dir
      : `bucket ${blobs.bucket}${blobs.prefix && ` below ${blobs.prefix}`}`,
  database: database.kind === 'sqlite' ? database.path : 'the database of DATABASE_URL',
})

function databaseOf(values: Values, dataDir: string): DatabaseConfig {
  const given = values.DATABASE_URL ?? { kind: 'sqlite', path: resolve(dataDir, 'holdall.db') }
  if (given.kind === 'sqlite') return given
  return {
    ...given,
    listenUrl: values.LISTEN_DATABASE_URL?.url ?? given.url,
    poolSize: values.DATABASE_POOL,
    statementTimeoutMs: values.DATABASE_TIMEOUT_MS,
    lockIdleMs: values.LOCK_IDLE_MS,
  }
}

function blobsOf(values: Values, dataDir: string): BlobsConfig {
  if (values.S3_BUCKET === null) return { kind: 'disk', dir: resolve(dataDir, 'blobs') }
  return {
    kind: 's3',
    bucket: values.S3_BUCKET,
    endpoint: values.S3_ENDPOINT,
    region: values.S3_REGION,
    forcePathStyle: values.S3_FORCE_PATH_STYLE ?? values.S3_ENDPOINT !== null,
    prefix: values.S3_PREFIX,
    sse: encryptionOf(values),
    checksums: values.S3_CHECKSUM,
  }
}

function reservedBytesOf({
  MAX_RESERVED_BYTES: requested,
  MAX_UPLOAD_BYTES: maxUploadBytes,
}: Values) {
  if (requested !== null && requested < maxUploadBytes)
    throw new StartupError(
      `MAX_RESERVED_BYTES is ${requested}, less than MAX_UPLOAD_BYTES, ${maxUploadBytes}: the largest files could never be uploaded. Raise the former or lower the latter.`,
    )
  return requested ?? Math.max(50 * 1024 ** 4, maxUploadBytes)
}

function scrubOf({ SCRUB_DAYS: days, SCRUB_BYTES_PER_SECOND: bytesPerSecond }: Values) {
  return days === 0 ? null : { everyMs: days * 86_400_000, bytesPerSecond }
}

const verifyReadsOf = ({ VERIFY_READS: requested, S3_BUCKET: bucket }: Values) =>
  requested ?? (bucket === null ? 'small' : 'off')

function downloadsOf(values: Values): Config['downloads'] {
  const { DOWNLOADS: requested, S3_BUCKET: bucket } = values
  const verifies = verifyReadsOf(values) !== 'off'
  if (requested === 'redirect' && bucket === null)
    throw new StartupError(
      'DOWNLOADS is redirect; it must be proxy unless S3_BUCKET is set: there are no URLs for files in a folder.',
    )
  if (requested === 'redirect' && verifies)
    throw new StartupError(
      'DOWNLOADS is redirect; it must be proxy unless VERIFY_READS is off: the server can verify only bytes that it sends itself.',
    )
  return requested ?? (bucket === null || verifies ? 'proxy' : 'redirect')
}

function encryptionOf({ S3_SSE: algorithm, S3_SSE_KMS_KEY_ID: keyId }: Values): S3Config['sse'] {
  if (algorithm === 'aws:kms') return { algorithm, keyId }
  if (keyId !== null)
    throw new StartupError(
      `S3_SSE_KMS_KEY_ID is ${JSON.stringify(keyId)}; it must not be set unless S3_SSE is aws:kms.`,
    )
  return algorithm === 'off' ? null : { algorithm }
}

function readValues(env: Env): Values {
  const names = Object.keys(settings) as Name[]
  // Compose files and shells pass an empty string for an unset variable.
  const read = names.map((name) => ({
    name,
    read: settings[name].schema.safeParse(env[name] || undefined),
  }))
  const wrong = read
    .filter(({ read }) => !read.success)
    .map(({ name }) => messageFor(name, env[name] ?? ''))
  if (wrong.length > 0) throw new StartupError(...wrong)
  return Object.fromEntries(read.map(({ name, read }) => [name, read.data])) as Values
}

const messageFor = (name: Name, value: string) =>
  `${name} is ${redact(name, value)}; it must be ${settings[name].right}.`

/** Hides tokens and the passwords in URLs, because others may read terminals and logs. */
const redact = (name: Name, value: string) =>
  name === 'ADMIN_TOKEN' || name === 'METRICS_TOKEN'
    ? `${value.length} characters long`
    : JSON.stringify(value.replace(/\/\/[^/]*@/, '//…@'))

function assertConsistent({ database, blobs, rateLimit, limits }: Config) {
  if (
    database.kind === 'sqlite' &&
    blobs.kind === 'disk' &&
    `${database.path}${sep}`.startsWith(`${blobs.dir}${sep}`)
  )
    throw new StartupError(
      `DATABASE_URL is ${JSON.stringify(database.path)}; it must not be in ${blobs.dir}, the folder for the bytes of files.`,
    )
  if (rateLimit !== null && rateLimit < limits.maxQueryCost)
    throw new StartupError(
      `RATE_LIMIT is ${rateLimit}, less than MAX_QUERY_COST, ${limits.maxQueryCost}: the most expensive queries could never run. Raise the former or lower the latter.`,
    )
}
