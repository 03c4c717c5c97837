import { resolve, sep } from 'node:path'
import { type Env, readValues } from './env.ts'
import type { Values } from './settings.ts'
import type { LinkableColumn, LogLevel } from './settings-server.ts'
import { StartupError } from './startup-error.ts'

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
  /** Maximum size of the headers of a request. */
  maxHeaderBytes: number
  logLevel: LogLevel
  /** Whether X-Forwarded-* headers of the nearest proxy are trusted. */
  trustProxy: boolean
  /** Who may use introspection. */
  introspection: 'on' | 'authenticated' | 'off'
  persistedDocuments: PersistedDocumentsConfig
  metrics: MetricsConfig
  linkableTables: LinkableColumn[]
  /** How long GraphQL is served after SIGTERM before the listener closes. */
  drainMs: number
}

/** Which documents may be referred to by their hash; with `only`, no others are run. */
type PersistedDocumentsConfig = { mode: 'off' | 'apq' } | { mode: 'only'; file: string }

/** Who may read /metrics: everyone if `open`, clients with `token`, and clients of the separate `port`. */
export type MetricsConfig = { open: boolean; token: string | null; port: number | null }

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
    maxHeaderBytes: values.MAX_HEADER_BYTES,
    logLevel: values.LOG_LEVEL,
    introspection: values.INTROSPECTION,
    persistedDocuments: persistedDocumentsOf(values),
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

function persistedDocumentsOf({
  PERSISTED_DOCUMENTS: mode,
  PERSISTED_DOCUMENTS_FILE: file,
}: Values): PersistedDocumentsConfig {
  if (mode === 'only') {
    if (file !== null) return { mode, file: resolve(file) }
    throw new StartupError(
      'PERSISTED_DOCUMENTS is only; PERSISTED_DOCUMENTS_FILE must be set: without documents the server could not answer any query.',
    )
  }
  if (file === null) return { mode }
  throw new StartupError(
    `PERSISTED_DOCUMENTS_FILE is ${JSON.stringify(file)}; it must not be set unless PERSISTED_DOCUMENTS is only.`,
  )
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
