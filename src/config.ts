import { resolve, sep } from 'node:path'
import { z } from 'zod'

export type DatabaseConfig =
  | { kind: 'sqlite'; path: string }
  | {
      kind: 'postgres'
      url: string
      /** Where it is listened to what other processes do. */
      listenUrl: string
      poolSize: number
      statementTimeoutMs: number
      /** How long a transaction may idle, and hold its locks meanwhile. */
      lockIdleMs: number
    }
export type BlobsConfig = { kind: 'disk'; dir: string } | S3Config
export type S3Config = {
  kind: 's3'
  bucket: string
  /** Null: Amazon's own, by the region. */
  endpoint: string | null
  region: string
  /** Whether the bucket is named in the path, or in the host name. */
  forcePathStyle: boolean
  /** What all names in the bucket begin with; empty, or with a slash at its end. */
  prefix: string
  sse: { algorithm: 'AES256' } | { algorithm: 'aws:kms'; keyId: string | null } | null
  /** Whether a CRC-32 is sent with what is written. */
  checksums: boolean
}

export type Limits = {
  /** The largest file, in bytes. */
  maxUploadBytes: number
  /** The largest file that comes as part of a form, in bytes. */
  maxFormBytes: number
  /** How long an unfinished upload waits for its next byte. */
  uploadTtlMs: number
  /** Unfinished uploads that one user may have. */
  maxOpenUploads: number
  /** Bytes that the unfinished uploads of one user may have room reserved for. */
  maxReservedBytes: number
  maxQueryCost: number
  /** Objects in the answer to one GraphQL request. */
  maxResponseNodes: number
  /** Bytes in the answer to one GraphQL request. */
  maxResponseBytes: number
  /** How long the reads of one GraphQL request may take. */
  requestTimeoutMs: number
}

type ScrubConfig = { everyMs: number; bytesPerSecond: number }

/**
 * A column of an operator's table that may hold paths, with the other columns of the table (`extras`) that
 * may be read and written; of one workspace (by its slug), or of all.
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
  /** Where clients reach the house, without a closing slash; null: as each request names it. */
  publicUrl: string | null
  dataDir: string
  database: DatabaseConfig
  blobs: BlobsConfig
  /** Whether the bytes of a download pass through the house, or the client is sent to the bucket. */
  downloads: 'redirect' | 'proxy'
  /** Bytes that stay free on each disk; null: 256 MiB or 1 % of it, whichever is less. */
  diskReserveBytes: number | null
  /** How long the sweeper keeps what no row knows before it deletes it. */
  quarantineMs: number
  /** Names a store and a database that do not belong together and are to be used together all the same. */
  adoptStore: string | null
  /** Which bytes are hashed before they are sent: all, those of small files that may have changed, or none. */
  verifyReads: 'small' | 'all' | 'off'
  /** How often all that is kept is read and hashed, and how fast; null: never. */
  scrub: ScrubConfig | null
  adminToken: string | null
  limits: Limits
  corsOrigins: string[]
  /** Points a minute for each token or address; null: no limit. */
  rateLimit: number | null
  /** Bytes that a link may send in 24 hours; null: no limit. */
  linkBytesPerDay: number | null
  /** Downloads of a link that may be under way at once; null: no limit. */
  maxDownloadsPerLink: number | null
  /** Requests of an address that may be in flight at once; null: no limit. */
  maxRequestsPerAddress: number | null
  logLevel: LogLevel
  /** Whether X-Forwarded-* of the nearest proxy are believed. */
  trustProxy: boolean
  /** Who may read the schema. */
  introspection: 'on' | 'authenticated' | 'off'
  metrics: MetricsConfig
  linkableTables: LinkableColumn[]
  /** How long GraphQL is answered after SIGTERM, before the listener closes. */
  drainMs: number
}

/** Who may read /metrics: everyone (`open`), whoever presents `token`, and whoever reaches `port`, which serves nothing else. */
export type MetricsConfig = { open: boolean; token: string | null; port: number | null }

const logLevels = ['silent', 'fatal', 'error', 'warn', 'info', 'debug', 'trace'] as const
type LogLevel = (typeof logLevels)[number]

/** The house cannot open, through no fault of its own; each sentence says what to put right. */
export class StartupError extends Error {
  constructor(...sentences: string[]) {
    super(sentences.join('\n'))
  }
}

type Setting<T> = {
  meaning: string
  /** As the README words it. */
  default: string
  /** Completes "it must be …". */
  right: string
  schema: z.ZodType<T>
}

const setting = <T>(of: Setting<T>) => of

const wholeNumber = (from: number, to: number) =>
  z.string().regex(/^\d+$/).transform(Number).pipe(z.int().min(from).max(to))

/** What an Authorization header can carry, long enough not to be guessed. */
const bearerToken = z.string().regex(/^[\w.~+/-]{20,200}$/)

/** What GraphQL calls an Int, as which these figures are given out. */
const LARGEST_INT = 2_147_483_647

const httpUrl = z.url({ protocol: /^https?$/ })
const publicUrl = httpUrl.regex(/^[^?#]+$/).transform((url) => url.replace(/\/+$/, ''))
/** As browsers write it in Origin; one with a * would match none. */
const origin = z.string().refine(isOrigin)

const postgresUrl = z
  .string()
  .regex(/^postgres(ql)?:\/\/./i)
  .refine((url) => URL.canParse(url))
  .transform((url) => ({ kind: 'postgres' as const, url }))

/** A path, with or without `sqlite:` before it; what has another scheme is another database. */
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

/** Every variable that is read, and there is no other place that reads one. */
export const settings = {
  HOST: setting({
    meaning: 'Address to listen on. 0.0.0.0 or :: lets other machines in.',
    default: '127.0.0.1',
    right: 'an address or a host name',
    schema: z
      .string()
      .regex(/^[\w.:-]+$/)
      .default('127.0.0.1'),
  }),
  PORT: setting({
    meaning: 'Port to listen on. 0 takes any that is free.',
    default: '4000',
    right: 'a whole number from 0 to 65535',
    schema: wholeNumber(0, 65_535).default(4000),
  }),
  PUBLIC_URL: setting({
    meaning: 'Where clients reach the server; upload and download links begin with it.',
    default: 'as each request names it',
    right: 'a URL such as https://files.example.org, without ? and #',
    schema: publicUrl.nullable().default(null),
  }),
  DATA_DIR: setting({
    meaning: 'Folder for the database and the bytes.',
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
      'The same PostgreSQL without a PgBouncer in transaction mode before it: what other processes do is heard there at once, else within a second.',
    default: 'DATABASE_URL',
    right: 'postgres://user:password@host:port/name',
    schema: postgresUrl.nullable().default(null),
  }),
  DATABASE_POOL: setting({
    meaning: 'Connections that one process opens to PostgreSQL, at most.',
    default: '10',
    right: 'a whole number from 1 to 1000',
    schema: wholeNumber(1, 1000).default(10),
  }),
  DATABASE_TIMEOUT_MS: setting({
    meaning:
      'Milliseconds that PostgreSQL may take for one statement. 0 asks for no limit and keeps no statement prepared, as PgBouncer wants it.',
    default: '30000',
    right: `a whole number from 0 to ${LARGEST_INT}`,
    schema: wholeNumber(0, LARGEST_INT).default(30_000),
  }),
  LOCK_IDLE_MS: setting({
    meaning:
      'Milliseconds that a process may be silent inside a transaction before PostgreSQL ends it, so that one that hangs does not keep its locks from others. PgBouncer passes it.',
    default: '3000',
    right: `a whole number from 100 to ${LARGEST_INT}`,
    schema: wholeNumber(100, LARGEST_INT).default(3000),
  }),
  S3_BUCKET: setting({
    meaning:
      'Bucket for the bytes. With it they go to S3, with credentials as the AWS SDK finds them.',
    default: 'none: the bytes are in DATA_DIR',
    right: 'the name of a bucket: 3 to 63 lower-case letters, digits, dots and hyphens',
    schema: z
      .string()
      .regex(/^[a-z0-9][a-z0-9.-]{1,61}[a-z0-9]$/)
      .nullable()
      .default(null),
  }),
  S3_ENDPOINT: setting({
    meaning: "Where that S3 is, if it is not Amazon's: MinIO, Ceph, R2 and others.",
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
    meaning: 'true: the bucket stands in the path of a URL; false: in its host name.',
    default: 'true with S3_ENDPOINT, else false',
    right: 'true or false',
    schema: z
      .enum(['true', 'false'])
      .transform((word) => word === 'true')
      .nullable()
      .default(null),
  }),
  S3_PREFIX: setting({
    meaning: 'What all names in the bucket begin with, such as holdall/.',
    default: 'nothing',
    right: "letters, digits and ! - _ . * ' ( ) /, no slash at the beginning, at most 200",
    schema: z
      .string()
      .regex(/^[\w!.*'()-][\w!.*'()/-]{0,199}$/)
      .transform((prefix) => (prefix.endsWith('/') ? prefix : `${prefix}/`))
      .default(''),
  }),
  S3_SSE: setting({
    meaning: 'Encryption that is asked of the bucket with every write: AES256, aws:kms, or off.',
    default: 'off: as the bucket is set',
    right: 'one of off, AES256, aws:kms',
    schema: z.enum(['off', 'AES256', 'aws:kms']).default('off'),
  }),
  S3_SSE_KMS_KEY_ID: setting({
    meaning: 'The key of S3_SSE=aws:kms.',
    default: "the account's own",
    right: 'the id, alias or ARN of a key',
    schema: z
      .string()
      .regex(/^[\w:/-]{1,2048}$/)
      .nullable()
      .default(null),
  }),
  S3_CHECKSUM: setting({
    meaning: 'crc32 sends a checksum with all that is written; off for a server that knows none.',
    default: 'crc32',
    right: 'crc32 or off',
    schema: z
      .enum(['crc32', 'off'])
      .transform((word) => word === 'crc32')
      .default(true),
  }),
  DOWNLOADS: setting({
    meaning:
      'Where a download leads: redirect sends clients to the bucket with a URL of five minutes, proxy lets the bytes pass through the server.',
    default: 'redirect with S3_BUCKET, unless VERIFY_READS is small or all; else proxy',
    right: 'redirect or proxy',
    schema: z.enum(['redirect', 'proxy']).nullable().default(null),
  }),
  VERIFY_READS: setting({
    meaning:
      'Which bytes are hashed before they are served: small, of files up to 64 MiB that are not on the disk as they were when last hashed; all, at every read; off, none. What is not as it was confirmed is not served. on means all. With S3_BUCKET, small and all lead downloads through the server.',
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
      'Within so many days all bytes are read and hashed once, to find those that have changed. 0: never.',
    default: '30',
    right: 'a whole number from 0 to 3650',
    schema: wholeNumber(0, 3650).default(30),
  }),
  SCRUB_BYTES_PER_SECOND: setting({
    meaning: 'So fast at most they are read for that.',
    default: '20000000 (20 MB)',
    right: `a whole number from 1 to ${Number.MAX_SAFE_INTEGER}`,
    schema: wholeNumber(1, Number.MAX_SAFE_INTEGER).default(20_000_000),
  }),
  DISK_RESERVE_BYTES: setting({
    meaning:
      'Bytes that stay free on the disk of the bytes, and on that of a SQLite database: with less than that no bytes are stored, so that rows still can be.',
    default: '268435456 (256 MiB) or 1 % of the disk, whichever is less',
    right: `a whole number from 0 to ${Number.MAX_SAFE_INTEGER}`,
    schema: wholeNumber(0, Number.MAX_SAFE_INTEGER).nullable().default(null),
  }),
  QUARANTINE_DAYS: setting({
    meaning: 'Days for which bytes that no row knows are put aside before they are deleted.',
    default: '7',
    right: 'a whole number from 1 to 3650',
    schema: wholeNumber(1, 3650).default(7),
  }),
  ADOPT_STORE: setting({
    meaning:
      'Lets a database and a store that do not belong together be used together: the value that the refused start names. It holds once, and does nothing later.',
    default: 'none',
    right: 'the value that the refused start names',
    schema: z
      .string()
      .regex(/^[\w-]{1,100}\/[\w-]{1,100}\/\d{1,15}$/)
      .nullable()
      .default(null),
  }),
  ADMIN_TOKEN: setting({
    meaning: "The owner's first token, read on the very first start only.",
    default: 'a random one, printed once',
    right: '20 to 200 letters, digits and - . _ ~ + /',
    schema: bearerToken.nullable().default(null),
  }),
  MAX_UPLOAD_BYTES: setting({
    meaning: 'The largest file, in bytes.',
    default: '5497558138880 (5 TiB)',
    right: `a whole number from 1 to ${Number.MAX_SAFE_INTEGER}`,
    schema: wholeNumber(1, Number.MAX_SAFE_INTEGER).default(5 * 1024 ** 4),
  }),
  MAX_FORM_BYTES: setting({
    meaning:
      'The largest file that POST /files takes, in bytes; larger ones go through createUpload.',
    default: '500000000 (500 MB)',
    right: `a whole number from 1 to ${Number.MAX_SAFE_INTEGER}`,
    schema: wholeNumber(1, Number.MAX_SAFE_INTEGER).default(500_000_000),
  }),
  UPLOAD_TTL_HOURS: setting({
    meaning: 'Hours that an unfinished upload waits for its next byte.',
    default: '24',
    right: 'a whole number from 1 to 8760',
    schema: wholeNumber(1, 8760).default(24),
  }),
  MAX_OPEN_UPLOADS: setting({
    meaning:
      'Uploads that one user may have begun and neither confirmed nor cancelled; those that expire count no more.',
    default: '10000',
    right: `a whole number from 1 to ${LARGEST_INT}`,
    schema: wholeNumber(1, LARGEST_INT).default(10_000),
  }),
  MAX_RESERVED_BYTES: setting({
    meaning:
      'Bytes that these may have between them, announced or sent, whatever the quotas of the workspaces are.',
    default: '54975581388800 (50 TiB), or MAX_UPLOAD_BYTES where that is more',
    right: `a whole number from 1 to ${Number.MAX_SAFE_INTEGER}`,
    schema: wholeNumber(1, Number.MAX_SAFE_INTEGER).nullable().default(null),
  }),
  CORS_ORIGINS: setting({
    meaning: 'Web pages that may call the server from a browser: origins with commas between.',
    default: 'none',
    right: 'origins with commas between, such as https://app.example.org,http://localhost:5173',
    schema: z
      .string()
      .transform((list) => list.split(',').map((item) => item.trim()))
      .pipe(z.array(origin))
      .default([]),
  }),
  RATE_LIMIT: setting({
    meaning: 'Points of query cost a minute for each token or address, or off.',
    default: 'off',
    right: `off or a whole number from 1 to ${LARGEST_INT}`,
    schema: z
      .literal('off')
      .transform(() => null)
      .or(wholeNumber(1, LARGEST_INT))
      .default(null),
  }),
  LINK_BYTES_PER_DAY: setting({
    meaning:
      'Bytes in 24 hours that go out without a token, or off: by the links to one version, or to one archive, that one token has made; by one share; of one file of a public workspace. What would be more is 429.',
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
      'Downloads without a token that may be under way at once by such a link, in one process, or off. What would be more is 429.',
    default: '200',
    right: `off or a whole number from 1 to ${LARGEST_INT}`,
    schema: z
      .literal('off')
      .transform(() => null)
      .or(wholeNumber(1, LARGEST_INT))
      .default(200),
  }),
  MAX_REQUESTS_PER_ADDRESS: setting({
    meaning:
      'Requests of one address (of IPv6 the first 64 bits) that may be in flight at once in one process, or off. What would be more is 429. Behind a proxy it needs TRUST_PROXY, or all clients count as one.',
    default: '2000',
    right: `off or a whole number from 1 to ${LARGEST_INT}`,
    schema: z
      .literal('off')
      .transform(() => null)
      .or(wholeNumber(1, LARGEST_INT))
      .default(2000),
  }),
  MAX_QUERY_COST: setting({
    meaning: 'What one GraphQL request may cost; every field of every item is a point or so.',
    default: '20000',
    right: `a whole number from 100 to ${LARGEST_INT}`,
    schema: wholeNumber(100, LARGEST_INT).default(20_000),
  }),
  MAX_RESPONSE_NODES: setting({
    meaning:
      'Objects that the answer to one GraphQL request may have. They are counted while it is made; a request that passes the limit is QUERY_TOO_COMPLEX as a whole.',
    default: '50000',
    right: `a whole number from 1000 to ${LARGEST_INT}`,
    schema: wholeNumber(1000, LARGEST_INT).default(50_000),
  }),
  MAX_RESPONSE_BYTES: setting({
    meaning: 'Bytes that it may have, counted in the same way.',
    default: '20000000 (20 MB)',
    right: `a whole number from 10000 to ${LARGEST_INT}`,
    schema: wholeNumber(10_000, LARGEST_INT).default(20_000_000),
  }),
  REQUEST_TIMEOUT_MS: setting({
    meaning:
      'Milliseconds that the reads of one GraphQL request may take; then it is TIMEOUT. A mutation field that has begun is finished, and those after it are not begun. Subscriptions have no limit.',
    default: '30000',
    right: `a whole number from 100 to ${LARGEST_INT}`,
    schema: wholeNumber(100, LARGEST_INT).default(30_000),
  }),
  LOG_LEVEL: setting({
    meaning: `How much is logged: ${logLevels.join(', ')}. debug has a line for each request.`,
    default: 'info',
    right: `one of ${logLevels.join(', ')}`,
    schema: z.enum(logLevels).default('info'),
  }),
  INTROSPECTION: setting({
    meaning:
      'Who may read the schema by introspection, and gets suggestions in errors: on (everyone), authenticated (who has a token), or off (no one).',
    default: 'on',
    right: 'one of on, authenticated, off',
    schema: z.enum(['on', 'authenticated', 'off']).default('on'),
  }),
  TRUST_PROXY: setting({
    meaning: 'true behind a proxy that sets X-Forwarded-Proto, -Host and -For: they are believed.',
    default: 'false',
    right: 'true or false',
    schema: z
      .enum(['true', 'false'])
      .transform((word) => word === 'true')
      .default(false),
  }),
  DRAIN_SECONDS: setting({
    meaning:
      'Seconds after SIGTERM in which GraphQL is still answered while /readyz is 503, so that a load balancer looks elsewhere before the port closes.',
    default: '5',
    right: 'a whole number from 0 to 3600',
    schema: wholeNumber(0, 3600).default(5),
  }),
  METRICS: setting({
    meaning: 'open: /metrics is answered without a token, to everyone who reaches PORT.',
    default: 'token: to holders of METRICS_TOKEN',
    right: 'token or open',
    schema: z
      .enum(['token', 'open'])
      .transform((word) => word === 'open')
      .default(false),
  }),
  METRICS_TOKEN: setting({
    meaning:
      'Bearer token for /metrics, on PORT and on METRICS_PORT. API tokens are not accepted there.',
    default: 'none: /metrics is not found on PORT',
    right: '20 to 200 letters, digits and - . _ ~ + /',
    schema: bearerToken.nullable().default(null),
  }),
  METRICS_PORT: setting({
    meaning:
      'A port of its own for /metrics, on the address of HOST; it serves nothing else, and asks for no token unless METRICS_TOKEN is set.',
    default: 'none',
    right: 'a whole number from 1 to 65535',
    schema: wholeNumber(1, 65_535).nullable().default(null),
  }),
  LINKABLE_TABLES: setting({
    meaning:
      "Columns of your own tables, in the server's database, that may hold files' paths: table.column for all workspaces, each of which sees the rows that it linked; table.column@slug for one workspace, which sees them all. No other column is read or written, but those named behind it: table.column+a+b@slug.",
    default: 'none',
    right: 'table.column, table.column+a+b or table.column@workspace-slug, with commas between',
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

/** The configuration that `env` describes; throws StartupError with one sentence for each variable that is wrong. */
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
  refuseContradictions(config)
  return config
}

/** How store and database are called in sentences for the operator; a URL may hold a password. */
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

function reservedBytesOf({ MAX_RESERVED_BYTES: asked, MAX_UPLOAD_BYTES: largest }: Values) {
  if (asked !== null && asked < largest)
    throw new StartupError(
      `MAX_RESERVED_BYTES is ${asked}, less than MAX_UPLOAD_BYTES, ${largest}: a file that is allowed could never be sent. Raise the one or lower the other.`,
    )
  return asked ?? Math.max(50 * 1024 ** 4, largest)
}

function scrubOf({ SCRUB_DAYS: days, SCRUB_BYTES_PER_SECOND: bytesPerSecond }: Values) {
  return days === 0 ? null : { everyMs: days * 86_400_000, bytesPerSecond }
}

const verifyReadsOf = ({ VERIFY_READS: asked, S3_BUCKET: bucket }: Values) =>
  asked ?? (bucket === null ? 'small' : 'off')

function downloadsOf(values: Values): Config['downloads'] {
  const { DOWNLOADS: asked, S3_BUCKET: bucket } = values
  const verifies = verifyReadsOf(values) !== 'off'
  if (asked === 'redirect' && bucket === null)
    throw new StartupError(
      'DOWNLOADS is redirect; it must be proxy unless S3_BUCKET is set: a folder has no address to send anybody to.',
    )
  if (asked === 'redirect' && verifies)
    throw new StartupError(
      'DOWNLOADS is redirect; it must be proxy unless VERIFY_READS is off: what does not pass through the server it cannot read.',
    )
  return asked ?? (bucket === null || verifies ? 'proxy' : 'redirect')
}

function encryptionOf({ S3_SSE: algorithm, S3_SSE_KMS_KEY_ID: keyId }: Values): S3Config['sse'] {
  if (algorithm === 'aws:kms') return { algorithm, keyId }
  if (keyId !== null)
    throw new StartupError(
      `S3_SSE_KMS_KEY_ID is ${JSON.stringify(keyId)}; it must be left out unless S3_SSE is aws:kms.`,
    )
  return algorithm === 'off' ? null : { algorithm }
}

function readValues(env: Env): Values {
  const names = Object.keys(settings) as Name[]
  // Compose files and shells hand over an empty text where nothing was meant.
  const read = names.map((name) => ({
    name,
    read: settings[name].schema.safeParse(env[name] || undefined),
  }))
  const wrong = read
    .filter(({ read }) => !read.success)
    .map(({ name }) => complaint(name, env[name] ?? ''))
  if (wrong.length > 0) throw new StartupError(...wrong)
  return Object.fromEntries(read.map(({ name, read }) => [name, read.data])) as Values
}

const complaint = (name: Name, value: string) =>
  `${name} is ${shown(name, value)}; it must be ${settings[name].right}.`

/** Terminals and logs are read by others, too: no token, and no password in a URL. */
const shown = (name: Name, value: string) =>
  name === 'ADMIN_TOKEN' || name === 'METRICS_TOKEN'
    ? `${value.length} characters long`
    : JSON.stringify(value.replace(/\/\/[^/]*@/, '//…@'))

function refuseContradictions({ database, blobs, rateLimit, limits }: Config) {
  if (
    database.kind === 'sqlite' &&
    blobs.kind === 'disk' &&
    `${database.path}${sep}`.startsWith(`${blobs.dir}${sep}`)
  )
    throw new StartupError(
      `DATABASE_URL is ${JSON.stringify(database.path)}; it must not lie in ${blobs.dir}, the folder that holds nothing but bytes.`,
    )
  if (rateLimit !== null && rateLimit < limits.maxQueryCost)
    throw new StartupError(
      `RATE_LIMIT is ${rateLimit}, less than MAX_QUERY_COST, ${limits.maxQueryCost}: a query that is allowed could never be paid. Raise the one or lower the other.`,
    )
}
