import { resolve } from 'node:path'
import { z } from 'zod'
import { MAX_INT, publicUrl, setting, trueOrFalse, wholeNumber } from './setting.ts'

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

/** The settings of the database and of the stored bytes. */
export const storageSettings = {
  DATA_DIR: setting({
    description: 'Folder for the database and the bytes of files.',
    default: './data',
    expected: 'a folder',
    schema: z.string().default('./data'),
  }),
  DATABASE_URL: setting({
    description: 'The database: postgres://…, sqlite:<path>, or a path.',
    default: 'holdall.db in DATA_DIR',
    expected: 'postgres://user:password@host:port/name, sqlite:<path> or a path',
    schema: postgresUrl.or(sqlitePath).nullable().default(null),
  }),
  LISTEN_DATABASE_URL: setting({
    description:
      'URL of the same PostgreSQL that bypasses a PgBouncer in transaction mode. Notifications of other processes arrive there at once; without them, changes are noticed within a second.',
    default: 'DATABASE_URL',
    expected: 'postgres://user:password@host:port/name',
    schema: postgresUrl.nullable().default(null),
  }),
  DATABASE_POOL: setting({
    description: 'Maximum number of connections that one process opens to PostgreSQL.',
    default: '10',
    expected: 'a whole number from 1 to 1000',
    schema: wholeNumber(1, 1000).default(10),
  }),
  DATABASE_TIMEOUT_MS: setting({
    description:
      'Maximum duration of one PostgreSQL statement, in milliseconds. 0 sets no limit and uses no prepared statements, as PgBouncer requires.',
    default: '30000',
    expected: `a whole number from 0 to ${MAX_INT}`,
    schema: wholeNumber(0, MAX_INT).default(30_000),
  }),
  LOCK_IDLE_MS: setting({
    description:
      'Milliseconds that a transaction may be idle before PostgreSQL ends it, so that a process that hangs does not keep its locks. Works with PgBouncer.',
    default: '3000',
    expected: `a whole number from 100 to ${MAX_INT}`,
    schema: wholeNumber(100, MAX_INT).default(3000),
  }),
  S3_BUCKET: setting({
    description:
      'Bucket for the bytes of files. If it is set, they are stored in S3, with the credentials that the AWS SDK finds.',
    default: 'none: the bytes are in DATA_DIR',
    expected: 'the name of a bucket: 3 to 63 lower-case letters, digits, dots and hyphens',
    schema: z
      .string()
      .regex(/^[a-z0-9][a-z0-9.-]{1,61}[a-z0-9]$/)
      .nullable()
      .default(null),
  }),
  S3_ENDPOINT: setting({
    description: "URL of an S3 server other than Amazon's: MinIO, Ceph, R2 and others.",
    default: 'Amazon, by S3_REGION',
    expected: 'a URL such as https://s3.example.org, without ? and #',
    schema: publicUrl.nullable().default(null),
  }),
  S3_REGION: setting({
    description: 'Region of the bucket.',
    default: 'us-east-1',
    expected: 'the name of a region: letters, digits and hyphens',
    schema: z
      .string()
      .regex(/^[A-Za-z0-9-]{1,63}$/)
      .default('us-east-1'),
  }),
  S3_FORCE_PATH_STYLE: setting({
    description: 'true: URLs have the bucket in the path; false: in the host name.',
    default: 'true with S3_ENDPOINT, otherwise false',
    expected: 'true or false',
    schema: trueOrFalse.nullable().default(null),
  }),
  S3_PREFIX: setting({
    description: 'Prefix of all keys in the bucket, such as holdall/.',
    default: 'none',
    expected: "letters, digits and ! - _ . * ' ( ) /, no slash at the beginning, at most 200",
    schema: z
      .string()
      .regex(/^[\w!.*'()-][\w!.*'()/-]{0,199}$/)
      .transform((prefix) => (prefix.endsWith('/') ? prefix : `${prefix}/`))
      .default(''),
  }),
  S3_SSE: setting({
    description:
      'Server-side encryption that is requested with every write: AES256, aws:kms, or off.',
    default: 'off: the default of the bucket',
    expected: 'one of off, AES256, aws:kms',
    schema: z.enum(['off', 'AES256', 'aws:kms']).default('off'),
  }),
  S3_SSE_KMS_KEY_ID: setting({
    description: 'KMS key for S3_SSE=aws:kms.',
    default: "the account's default key",
    expected: 'the id, alias or ARN of a key',
    schema: z
      .string()
      .regex(/^[\w:/-]{1,2048}$/)
      .nullable()
      .default(null),
  }),
  S3_CHECKSUM: setting({
    description:
      'crc32 sends a checksum with every write; off is for servers that do not support it.',
    default: 'crc32',
    expected: 'crc32 or off',
    schema: z
      .enum(['crc32', 'off'])
      .transform((word) => word === 'crc32')
      .default(true),
  }),
  DOWNLOADS: setting({
    description:
      'How downloads are served: redirect sends clients to a presigned URL of the bucket that is valid for five minutes, proxy sends the bytes through the server.',
    default: 'redirect with S3_BUCKET, unless VERIFY_READS is small or all; otherwise proxy',
    expected: 'redirect or proxy',
    schema: z.enum(['redirect', 'proxy']).nullable().default(null),
  }),
  VERIFY_READS: setting({
    description:
      'Which files are hashed before they are served: small, files up to 64 MiB that have changed on the disk since they were last hashed; all, every file on every read; off, none. Files that differ from the confirmed bytes are not served. on means all. With S3_BUCKET, small and all send downloads through the server.',
    default: 'small; off with S3_BUCKET',
    expected: 'one of small, all, off',
    schema: z
      .enum(['small', 'all', 'off', 'on'])
      .transform((word) => (word === 'on' ? 'all' : word))
      .nullable()
      .default(null),
  }),
  SCRUB_DAYS: setting({
    description:
      'All stored bytes are read and hashed once within this number of days, to find damage. 0: never.',
    default: '30',
    expected: 'a whole number from 0 to 3650',
    schema: wholeNumber(0, 3650).default(30),
  }),
  SCRUB_BYTES_PER_SECOND: setting({
    description: 'Maximum read rate of this scrub, in bytes per second.',
    default: '20000000 (20 MB)',
    expected: `a whole number from 1 to ${Number.MAX_SAFE_INTEGER}`,
    schema: wholeNumber(1, Number.MAX_SAFE_INTEGER).default(20_000_000),
  }),
  DISK_RESERVE_BYTES: setting({
    description:
      'Bytes to keep free on the disk of the files and on the disk of a SQLite database. With less free space, uploads are rejected, so that rows can still be written.',
    default: '268435456 (256 MiB) or 1 % of the disk, whichever is less',
    expected: `a whole number from 0 to ${Number.MAX_SAFE_INTEGER}`,
    schema: wholeNumber(0, Number.MAX_SAFE_INTEGER).nullable().default(null),
  }),
  QUARANTINE_DAYS: setting({
    description: 'Days that objects without a row stay in quarantine before they are deleted.',
    default: '7',
    expected: 'a whole number from 1 to 3650',
    schema: wholeNumber(1, 3650).default(7),
  }),
  ADOPT_STORE: setting({
    description:
      'Allows using a database and a store that do not belong together. Set it to the value in the message of the failed start; it takes effect once and is ignored later.',
    default: 'none',
    expected: 'the value in the message of the failed start',
    schema: z
      .string()
      .regex(/^[\w-]{1,100}\/[\w-]{1,100}\/\d{1,15}$/)
      .nullable()
      .default(null),
  }),
}
