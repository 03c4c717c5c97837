import { resolve } from 'node:path'
import fc from 'fast-check'
import { describe, expect, test } from 'vitest'
import { type Config, readConfig, type S3Config } from '../../src/config/config.ts'
import type { Env } from '../../src/config/env.ts'
import { settings } from '../../src/config/settings.ts'
import { StartupError } from '../../src/config/startup-error.ts'

type Case = { right: [string, Partial<Config>][]; wrong: string[] }
const limits = readConfig({}).limits
const linkable = (
  table: string,
  column: string,
  workspace: string | null = null,
  extras: string[] = [],
) => ({
  table,
  column,
  extras,
  workspace,
})

const onPostgres = (url: string) =>
  ({
    kind: 'postgres',
    url,
    listenUrl: url,
    poolSize: 10,
    statementTimeoutMs: 30_000,
    lockIdleMs: 3000,
  }) as const

const amazon = (changes: Partial<S3Config>): S3Config => ({
  kind: 's3',
  bucket: 'files',
  endpoint: null,
  region: 'us-east-1',
  forcePathStyle: false,
  prefix: '',
  sse: null,
  checksums: true,
  ...changes,
})

/** For each variable: valid values, their effect, and invalid values. */
const cases: Record<keyof typeof settings, Case> = {
  HOST: {
    right: [
      ['0.0.0.0', { host: '0.0.0.0' }],
      ['::1', { host: '::1' }],
      ['files.local', { host: 'files.local' }],
    ],
    wrong: ['http://localhost', 'a b', 'localhost/', 'host,other'],
  },
  PORT: {
    right: [
      ['0', { port: 0 }],
      ['65535', { port: 65_535 }],
      ['08', { port: 8 }],
    ],
    wrong: ['65536', '-1', '80.5', '1e3', '0x50', ' 80', '80 ', 'http', '٣'],
  },
  PUBLIC_URL: {
    right: [
      ['https://files.example.org', { publicUrl: 'https://files.example.org' }],
      ['http://localhost:4000/', { publicUrl: 'http://localhost:4000' }],
      ['https://example.org/files//', { publicUrl: 'https://example.org/files' }],
    ],
    wrong: ['files.example.org', 'ftp://example.org', 'https://a/?b', 'https://a/#b', '/files'],
  },
  DATA_DIR: {
    right: [
      ['/srv/holdall', { dataDir: '/srv/holdall' }],
      ['here', { dataDir: resolve('here') }],
    ],
    wrong: [],
  },
  DATABASE_URL: {
    right: [
      ['/srv/rows.db', { database: { kind: 'sqlite', path: '/srv/rows.db' } }],
      ['sqlite:/srv/rows.db', { database: { kind: 'sqlite', path: '/srv/rows.db' } }],
      ['sqlite:///srv/rows.db', { database: { kind: 'sqlite', path: '/srv/rows.db' } }],
      ['sqlite:rows.db', { database: { kind: 'sqlite', path: resolve('rows.db') } }],
      [
        'postgres://u:p@host/db?sslmode=require',
        { database: onPostgres('postgres://u:p@host/db?sslmode=require') },
      ],
      ['postgresql://host/db', { database: onPostgres('postgresql://host/db') }],
    ],
    wrong: ['sqlite:', 'postgres:rows', 'postgres://', 'mysql://host/db', ':memory:', 'file:a.db'],
  },
  // Only for PostgreSQL: SQLite has one process, one connection and no limit.
  LISTEN_DATABASE_URL: {
    right: [['postgres://host/db', {}]],
    wrong: ['sqlite:rows.db', '/srv/rows.db', 'mysql://host/db'],
  },
  DATABASE_POOL: { right: [['50', {}]], wrong: ['0', '1001', 'many'] },
  LOCK_IDLE_MS: { right: [['100', {}]], wrong: ['0', '99', '3s', '2147483648'] },
  DATABASE_TIMEOUT_MS: { right: [['0', {}]], wrong: ['-1', '1s', '2147483648'] },
  // redirect requires a bucket; see the contradictions.
  DOWNLOADS: { right: [['proxy', { downloads: 'proxy' }]], wrong: ['REDIRECT', 'direct', 'true'] },
  VERIFY_READS: {
    right: [
      ['small', { verifyReads: 'small' }],
      ['all', { verifyReads: 'all' }],
      ['on', { verifyReads: 'all' }],
      ['off', { verifyReads: 'off' }],
    ],
    wrong: ['ON', 'true', '1', 'large'],
  },
  DISK_RESERVE_BYTES: {
    right: [
      ['0', { diskReserveBytes: 0 }],
      ['1048576', { diskReserveBytes: 1_048_576 }],
    ],
    wrong: ['-1', '1 %', '256M'],
  },
  QUARANTINE_DAYS: {
    right: [
      ['1', { quarantineMs: 86_400_000 }],
      ['3650', { quarantineMs: 3650 * 86_400_000 }],
    ],
    wrong: ['0', '-1', '3651', '0.5', 'never'],
  },
  ADOPT_STORE: {
    right: [
      ['d2c1-1/none/0', { adoptStore: 'd2c1-1/none/0' }],
      ['d2c1-1/0b1e-2/17', { adoptStore: 'd2c1-1/0b1e-2/17' }],
    ],
    wrong: ['yes', 'd2c1-1', 'd2c1-1/none', 'd2c1-1/none/-1', 'd2c1-1/none/1/2'],
  },
  SCRUB_DAYS: {
    right: [
      ['0', { scrub: null }],
      ['7', { scrub: { everyMs: 7 * 86_400_000, bytesPerSecond: 20_000_000 } }],
    ],
    wrong: ['-1', '3651', '0.5', 'never'],
  },
  SCRUB_BYTES_PER_SECOND: {
    right: [['1', { scrub: { everyMs: 30 * 86_400_000, bytesPerSecond: 1 } }]],
    wrong: ['0', '20MB', '1e6'],
  },
  ADMIN_TOKEN: {
    right: [['aB3-._~+/aB3-._~+/aB', { adminToken: 'aB3-._~+/aB3-._~+/aB' }]],
    wrong: ['short', 'x'.repeat(201), `${'x'.repeat(20)} `, `${'x'.repeat(20)}é`],
  },
  MAX_UPLOAD_BYTES: {
    right: [
      ['1', { limits: { ...limits, maxUploadBytes: 1 } }],
      [
        '9007199254740991',
        {
          limits: {
            ...limits,
            maxUploadBytes: 9_007_199_254_740_991,
            maxReservedBytes: 9_007_199_254_740_991,
          },
        },
      ],
    ],
    wrong: ['0', '9007199254740992', '5TB', '1_000', '1.5', '-1'],
  },
  MAX_FORM_BYTES: {
    right: [['1000', { limits: { ...limits, maxFormBytes: 1000 } }]],
    wrong: ['0', '500MB', '9007199254740992'],
  },
  MAX_OPEN_UPLOADS: {
    right: [['1', { limits: { ...limits, maxOpenUploads: 1 } }]],
    wrong: ['0', '-1', '2147483648', 'off'],
  },
  MAX_RESERVED_BYTES: {
    right: [['5497558138880', { limits: { ...limits, maxReservedBytes: 5 * 1024 ** 4 } }]],
    wrong: ['0', '50TB', '9007199254740992'],
  },
  UPLOAD_TTL_HOURS: {
    right: [['8760', { limits: { ...limits, uploadTtlMs: 8760 * 3_600_000 } }]],
    wrong: ['0', '8761', '0.5', '24h'],
  },
  CORS_ORIGINS: {
    right: [
      ['https://a.example', { corsOrigins: ['https://a.example'] }],
      [
        'https://a.example, http://localhost:5173',
        { corsOrigins: ['https://a.example', 'http://localhost:5173'] },
      ],
    ],
    wrong: [
      ...['*', 'null', 'a.example', 'https://a.example/', 'https://a.example/path'],
      ...['https://*.example', 'https://a.example,', 'https://a.example:443', 'HTTPS://a.example'],
    ],
  },
  RATE_LIMIT: {
    right: [
      ['off', { rateLimit: null }],
      ['20000', { rateLimit: 20_000 }],
      ['2147483647', { rateLimit: 2_147_483_647 }],
    ],
    wrong: ['0', '2147483648', 'on', 'OFF', '-1', '100/min'],
  },
  LINK_BYTES_PER_DAY: {
    right: [
      ['off', { linkBytesPerDay: null }],
      ['1', { linkBytesPerDay: 1 }],
      ['9007199254740991', { linkBytesPerDay: 9_007_199_254_740_991 }],
    ],
    wrong: ['0', '9007199254740992', 'on', '-1', '10GB'],
  },
  MAX_DOWNLOADS_PER_LINK: {
    right: [
      ['off', { maxDownloadsPerLink: null }],
      ['1', { maxDownloadsPerLink: 1 }],
    ],
    wrong: ['0', '2147483648', 'on'],
  },
  MAX_HEADER_BYTES: {
    right: [['16384', { maxHeaderBytes: 16_384 }]],
    wrong: ['16383', '1048577', 'off', '64K'],
  },
  MAX_REQUESTS_PER_ADDRESS: {
    right: [
      ['off', { maxRequestsPerAddress: null }],
      ['1', { maxRequestsPerAddress: 1 }],
    ],
    wrong: ['0', '2147483648', 'on'],
  },
  MAX_QUERY_COST: {
    right: [
      ['100', { limits: { ...limits, maxQueryCost: 100 } }],
      ['2147483647', { limits: { ...limits, maxQueryCost: 2_147_483_647 } }],
    ],
    wrong: ['99', '2147483648', 'off', '1e4'],
  },
  MAX_RESPONSE_NODES: {
    right: [['1000', { limits: { ...limits, maxResponseNodes: 1000 } }]],
    wrong: ['999', '2147483648', 'off'],
  },
  MAX_RESPONSE_BYTES: {
    right: [['10000', { limits: { ...limits, maxResponseBytes: 10_000 } }]],
    wrong: ['9999', '2147483648', 'off', '20MB'],
  },
  REQUEST_TIMEOUT_MS: {
    right: [['100', { limits: { ...limits, requestTimeoutMs: 100 } }]],
    wrong: ['99', '2147483648', 'off', '30s'],
  },
  LOG_LEVEL: {
    right: [
      ['silent', { logLevel: 'silent' }],
      ['trace', { logLevel: 'trace' }],
    ],
    wrong: ['verbose', 'INFO', 'warning'],
  },
  S3_BUCKET: {
    right: [
      [
        'my.bucket-1',
        {
          blobs: amazon({ bucket: 'my.bucket-1' }),
          downloads: 'redirect',
          verifyReads: 'off',
        },
      ],
      ['abc', { blobs: amazon({ bucket: 'abc' }), downloads: 'redirect', verifyReads: 'off' }],
    ],
    wrong: ['ab', 'My-Bucket', 'a_b_c', '-abc', 'abc/', 'a'.repeat(64), 's3://abc'],
  },
  S3_ENDPOINT: {
    right: [
      ['https://s3.example.org/', {}],
      ['http://127.0.0.1:9000', {}],
    ],
    wrong: ['s3.example.org', 's3://host', 'https://a/?b', 'https://a/#b'],
  },
  S3_REGION: { right: [['eu-central-1', {}]], wrong: ['eu central', 'a/b', 'a'.repeat(64)] },
  S3_FORCE_PATH_STYLE: {
    right: [
      ['true', {}],
      ['false', {}],
    ],
    wrong: ['1', 'path', 'True'],
  },
  S3_PREFIX: { right: [['files', {}]], wrong: ['/files', 'a b', 'a?', 'ä', 'a'.repeat(201)] },
  S3_SSE: { right: [['aws:kms', {}]], wrong: ['aes256', 'kms', 'true'] },
  S3_SSE_KMS_KEY_ID: { right: [], wrong: ['a key', 'a;b'] },
  S3_CHECKSUM: { right: [['off', {}]], wrong: ['sha256', 'CRC32', 'false'] },
  PERSISTED_DOCUMENTS: {
    right: [
      ['off', {}],
      ['apq', { persistedDocuments: { mode: 'apq' } }],
    ],
    wrong: ['on', 'APQ', 'true', 'apq,only'],
  },
  PERSISTED_DOCUMENTS_FILE: { right: [], wrong: [] },
  INTROSPECTION: {
    right: [
      ['authenticated', { introspection: 'authenticated' }],
      ['off', { introspection: 'off' }],
    ],
    wrong: ['none', 'true', 'ON'],
  },
  TRUST_PROXY: {
    right: [
      ['true', { trustProxy: true }],
      ['false', { trustProxy: false }],
    ],
    wrong: ['1', 'yes', 'True', '10.0.0.0/8'],
  },
  DRAIN_SECONDS: {
    right: [
      ['0', { drainMs: 0 }],
      ['30', { drainMs: 30_000 }],
    ],
    wrong: ['-1', '1.5', 'off', '3601'],
  },
  METRICS: {
    right: [
      ['open', { metrics: { open: true, token: null, port: null } }],
      ['token', { metrics: { open: false, token: null, port: null } }],
    ],
    wrong: ['true', 'OPEN', 'off'],
  },
  METRICS_TOKEN: {
    right: [
      [
        'aB3-._~+/aB3-._~+/aB',
        { metrics: { open: false, token: 'aB3-._~+/aB3-._~+/aB', port: null } },
      ],
    ],
    wrong: ['short', 'x'.repeat(201), `${'x'.repeat(20)} `],
  },
  METRICS_PORT: {
    right: [['9464', { metrics: { open: false, token: null, port: 9464 } }]],
    wrong: ['0', '65536', '-1', 'any'],
  },
  LINKABLE_TABLES: {
    right: [
      ['samples.file', { linkableTables: [linkable('samples', 'file')] }],
      [
        'samples.file+plate+run@lab-1',
        { linkableTables: [linkable('samples', 'file', 'lab-1', ['plate', 'run'])] },
      ],
      [
        'samples.file@lab-1, _runs.Path_2',
        { linkableTables: [linkable('samples', 'file', 'lab-1'), linkable('_runs', 'Path_2')] },
      ],
    ],
    wrong: [
      'a.b+',
      'a.b+1',
      'a.b@x+c',
      'samples',
      'a.b.c',
      'a.b@Lab',
      'a.b;drop',
      'a."b"',
      'a.b,',
      '1a.b',
      'a.b@',
      'a b.c',
    ],
  },
}

function refusal(env: Env): string {
  try {
    readConfig(env)
  } catch (error) {
    if (error instanceof StartupError) return error.message
    throw error
  }
  throw new Error(`${JSON.stringify(env)} was taken`)
}

test('has cases for every variable, and a variable for every case', () => {
  expect(Object.keys(cases).sort()).toEqual(Object.keys(settings).sort())
})

describe.each(Object.entries(cases))('%s', (name, { right, wrong }) => {
  test('treats an empty value like a missing one', () => {
    expect(readConfig({ [name]: '' })).toEqual(readConfig({}))
    expect(readConfig({ [name]: undefined })).toEqual(readConfig({}))
  })

  test.each(right)('accepts %s and changes nothing else', (value, change) => {
    const config = readConfig({ [name]: value })
    const folders = name === 'DATA_DIR' ? { database: config.database, blobs: config.blobs } : {}
    expect(config).toEqual({ ...readConfig({}), ...folders, ...change })
  })

  test.runIf(wrong.length > 0).each(wrong)('rejects %s', (value) => {
    const { expected } = settings[name as keyof typeof settings]
    const said = refusal({ [name]: value })
    expect(said.startsWith(`${name} is `)).toBe(true)
    expect(said.endsWith(`; it must be ${expected}.`)).toBe(true)
    expect(said.split('\n')).toHaveLength(1)
  })
})

test('has the defaults of the README', () => {
  expect(readConfig({})).toEqual({
    drainMs: 5000,
    host: '127.0.0.1',
    introspection: 'on',
    persistedDocuments: { mode: 'off' },
    port: 4000,
    publicUrl: null,
    dataDir: resolve('data'),
    database: { kind: 'sqlite', path: resolve('data/holdall.db') },
    blobs: { kind: 'disk', dir: resolve('data/blobs') },
    downloads: 'proxy',
    diskReserveBytes: null,
    quarantineMs: 7 * 86_400_000,
    adoptStore: null,
    verifyReads: 'small',
    scrub: { everyMs: 30 * 86_400_000, bytesPerSecond: 20_000_000 },
    adminToken: null,
    limits: {
      maxUploadBytes: 5 * 1024 ** 4,
      maxFormBytes: 500_000_000,
      uploadTtlMs: 86_400_000,
      maxOpenUploads: 10_000,
      maxReservedBytes: 50 * 1024 ** 4,
      maxQueryCost: 20_000,
      maxResponseNodes: 50_000,
      maxResponseBytes: 20_000_000,
      requestTimeoutMs: 30_000,
    },
    corsOrigins: [],
    rateLimit: null,
    linkBytesPerDay: null,
    maxDownloadsPerLink: 200,
    maxRequestsPerAddress: 2000,
    maxHeaderBytes: 65_536,
    logLevel: 'info',
    trustProxy: false,
    metrics: { open: false, token: null, port: null },
    linkableTables: [],
  })
})

test('stores rows and bytes below DATA_DIR', () => {
  const { dataDir, database, blobs } = readConfig({ DATA_DIR: '/srv/h' })
  expect({ dataDir, database, blobs }).toEqual({
    dataDir: '/srv/h',
    database: { kind: 'sqlite', path: '/srv/h/holdall.db' },
    blobs: { kind: 'disk', dir: '/srv/h/blobs' },
  })
})

test('applies the PostgreSQL settings', () => {
  const url = 'postgres://host/db'
  const { database } = readConfig({
    DATABASE_URL: url,
    DATABASE_POOL: '3',
    DATABASE_TIMEOUT_MS: '0',
  })
  expect(database).toEqual({ ...onPostgres(url), poolSize: 3, statementTimeoutMs: 0 })
})

test('reports all errors at once, in the order of the table', () => {
  const said = refusal({ TRUST_PROXY: 'maybe', PORT: 'x', MAX_QUERY_COST: '1' }).split('\n')
  expect(said.map((line) => line.split(' ')[0])).toEqual(['PORT', 'TRUST_PROXY', 'MAX_QUERY_COST'])
})

test.each<[Env, Partial<S3Config>]>([
  [{}, {}],
  [{ S3_ENDPOINT: 'http://s3/' }, { endpoint: 'http://s3', forcePathStyle: true }],
  [{ S3_ENDPOINT: 'http://s3', S3_FORCE_PATH_STYLE: 'false' }, { endpoint: 'http://s3' }],
  [{ S3_FORCE_PATH_STYLE: 'true' }, { forcePathStyle: true }],
  [{ S3_REGION: 'eu-central-1' }, { region: 'eu-central-1' }],
  [{ S3_PREFIX: 'holdall' }, { prefix: 'holdall/' }],
  [{ S3_PREFIX: 'a/b/' }, { prefix: 'a/b/' }],
  [{ S3_SSE: 'AES256' }, { sse: { algorithm: 'AES256' } }],
  [{ S3_SSE: 'aws:kms' }, { sse: { algorithm: 'aws:kms', keyId: null } }],
  [
    { S3_SSE: 'aws:kms', S3_SSE_KMS_KEY_ID: 'alias/files' },
    { sse: { algorithm: 'aws:kms', keyId: 'alias/files' } },
  ],
  [{ S3_CHECKSUM: 'off' }, { checksums: false }],
])('beside S3_BUCKET, %j is %j', (env, changes) => {
  expect(readConfig({ S3_BUCKET: 'files', ...env }).blobs).toEqual(amazon(changes))
})

describe('contradictions', () => {
  test('rejects a key for an encryption without keys', () => {
    for (const S3_SSE of ['off', 'AES256'])
      expect(refusal({ S3_BUCKET: 'files', S3_SSE, S3_SSE_KMS_KEY_ID: 'abc' })).toBe(
        'S3_SSE_KMS_KEY_ID is "abc"; it must not be set unless S3_SSE is aws:kms.',
      )
  })

  test('takes the file of documents for PERSISTED_DOCUMENTS=only, and for nothing else', () => {
    const file = { PERSISTED_DOCUMENTS_FILE: 'documents.json' }
    for (const PERSISTED_DOCUMENTS of ['off', 'apq'])
      expect(refusal({ PERSISTED_DOCUMENTS, ...file })).toBe(
        'PERSISTED_DOCUMENTS_FILE is "documents.json"; it must not be set unless PERSISTED_DOCUMENTS is only.',
      )
    expect(refusal({ PERSISTED_DOCUMENTS: 'only' })).toMatch(/PERSISTED_DOCUMENTS_FILE must be set/)
    const { persistedDocuments } = readConfig({ PERSISTED_DOCUMENTS: 'only', ...file })
    expect(persistedDocuments).toEqual({ mode: 'only', file: resolve('documents.json') })
  })

  test('rejects a rate limit below the cost of an allowed query', () => {
    expect(refusal({ RATE_LIMIT: '19999' })).toMatch(
      /^RATE_LIMIT is 19999, less than MAX_QUERY_COST, 20000: .*\.$/,
    )
    expect(readConfig({ RATE_LIMIT: '100', MAX_QUERY_COST: '100' }).rateLimit).toBe(100)
  })

  test('rejects a reservation limit below the size of an allowed file', () => {
    expect(refusal({ MAX_RESERVED_BYTES: '999', MAX_UPLOAD_BYTES: '1000' })).toMatch(
      /^MAX_RESERVED_BYTES is 999, less than MAX_UPLOAD_BYTES, 1000: .*\.$/,
    )
    const alike = readConfig({ MAX_RESERVED_BYTES: '1000', MAX_UPLOAD_BYTES: '1000' })
    expect(alike.limits.maxReservedBytes).toBe(1000)
  })

  test('rejects a database inside the blob directories, where unknown files are swept', () => {
    for (const path of ['/srv/h/blobs/rows.db', '/srv/h/blobs', '/srv/h/x/../blobs/kept/rows.db'])
      expect(refusal({ DATA_DIR: '/srv/h', DATABASE_URL: path })).toMatch(
        /^DATABASE_URL is .*; it must not be in \/srv\/h\/blobs,.*\.$/,
      )
    expect(readConfig({ DATA_DIR: '/srv/h', DATABASE_URL: '/srv/h/blobs.db' })).toBeDefined()
  })
})

test('redirects downloads to the bucket, if there is one and nothing forbids it', () => {
  const bucket = { S3_BUCKET: 'holdall' }
  expect(readConfig(bucket).downloads).toBe('redirect')
  expect(readConfig({ ...bucket, DOWNLOADS: 'redirect' }).downloads).toBe('redirect')
  expect(readConfig({ ...bucket, DOWNLOADS: 'proxy' }).downloads).toBe('proxy')
  expect(readConfig({}).downloads).toBe('proxy')
  expect(readConfig(bucket).verifyReads).toBe('off')
  expect(readConfig({ ...bucket, VERIFY_READS: 'off' }).downloads).toBe('redirect')
  for (const VERIFY_READS of ['small', 'all', 'on']) {
    expect(readConfig({ ...bucket, VERIFY_READS }).downloads).toBe('proxy')
    expect(refusal({ ...bucket, VERIFY_READS, DOWNLOADS: 'redirect' })).toMatch(
      /^DOWNLOADS is redirect; .* VERIFY_READS .*\.$/,
    )
  }
  expect(refusal({ DOWNLOADS: 'redirect' })).toMatch(/^DOWNLOADS is redirect; .* S3_BUCKET .*\.$/)
})

describe('S35: an error message does not reveal', () => {
  test('a token', () => {
    expect(refusal({ ADMIN_TOKEN: 'hunter2' })).not.toContain('hunter2')
    expect(refusal({ METRICS_TOKEN: 'hunter2' })).not.toContain('hunter2')
  })

  test('a password in an address', () => {
    const said = refusal({ DATABASE_URL: 'mysql://holdall:hunter2@db/holdall' })
    expect(said).not.toContain('hunter2')
    expect(said).toContain('@db/holdall')
    expect(refusal({ PUBLIC_URL: 'ftp://me:hunter2@host' })).not.toContain('hunter2')
  })
})

test('returns a configuration or an error sentence for any environment', () => {
  const names = Object.keys(settings)
  const env = fc.dictionary(fc.constantFrom(...names), fc.string({ unit: 'binary' }))
  fc.assert(
    fc.property(env, (env) => {
      try {
        readConfig(env)
      } catch (error) {
        if (!(error instanceof StartupError)) throw error
        const lines = error.message.split('\n')
        expect(lines.every((line) => /^[A-Z0-9_]+ is .*\.$/.test(line))).toBe(true)
      }
    }),
    { numRuns: 300 },
  )
})
