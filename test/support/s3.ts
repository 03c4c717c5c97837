import { randomUUID } from 'node:crypto'
import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { s3Blobs } from '../../src/blobs/s3/store.ts'
import { readConfig, type S3Config } from '../../src/config/config.ts'
import type { Env } from '../../src/config/env.ts'
import { openDatabase } from '../../src/database/database.ts'
import { migrateToLatest } from '../../src/database/migrate.ts'
import { createMultipartStore } from '../../src/database/multipart-store.ts'

const { S3_ENDPOINT, S3_BUCKET } = process.env

/** Whether S3 is configured: S3_ENDPOINT, S3_BUCKET, and credentials where the SDK finds them. */
export const s3IsGiven = Boolean(S3_ENDPOINT && S3_BUCKET)

/** Returns the variables for a new prefix in the bucket. */
export const newS3Prefix = (): Env => ({
  S3_ENDPOINT,
  S3_BUCKET,
  S3_PREFIX: `test-${randomUUID()}/`,
})

/** S3 variables of every test server; empty unless TEST_BLOBS=s3. */
export function s3ForServers(): Env {
  if (process.env.TEST_BLOBS !== 's3') return {}
  if (!s3IsGiven) throw new Error('TEST_BLOBS=s3 needs S3_ENDPOINT and S3_BUCKET')
  // The tests download from the server, as they do on disk.
  return { ...newS3Prefix(), DOWNLOADS: 'proxy' }
}

type Tuning = Parameters<typeof s3Blobs>[2]

/** Opens a store at a new prefix of the bucket, with its multipart state in a SQLite file. */
export async function openS3Store(tuning: Tuning = {}) {
  const dir = await mkdtemp(join(tmpdir(), 'holdall-s3-'))
  const db = openDatabase({ kind: 'sqlite', path: join(dir, 'ledger.db') })
  await migrateToLatest(db)
  const ledger = createMultipartStore(db)
  // With S3_BUCKET set, the config is an S3Config.
  const config = readConfig(newS3Prefix()).blobs as S3Config
  const reopen = (changes: Partial<S3Config> = {}, other = tuning) =>
    s3Blobs({ ...config, ...changes }, ledger, other)
  return {
    config,
    ledger,
    reopen,
    store: reopen(),
    async dispose() {
      await db.destroy()
      await rm(dir, { recursive: true })
    },
  }
}
