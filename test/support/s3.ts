import { randomUUID } from 'node:crypto'
import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { s3Blobs } from '../../src/blobs/s3/store.ts'
import { type Env, readConfig, type S3Config } from '../../src/config.ts'
import { openDatabase } from '../../src/database/database.ts'
import { migrateToLatest } from '../../src/database/migrate.ts'
import { createMultipartStore } from '../../src/database/multipart-store.ts'

const { S3_ENDPOINT, S3_BUCKET } = process.env

/** Whether the tests are given an S3: S3_ENDPOINT, S3_BUCKET, and credentials as the SDK finds them. */
export const s3IsGiven = Boolean(S3_ENDPOINT && S3_BUCKET)

/** Where the bytes of one house go: a place of its own in the bucket. */
export const freshPlace = (): Env => ({
  S3_ENDPOINT,
  S3_BUCKET,
  S3_PREFIX: `test-${randomUUID()}/`,
})

/** What every house of the tests is told of S3: nothing, but where TEST_BLOBS=s3 says that bytes go there. */
export function s3ForServers(): Env {
  if (process.env.TEST_BLOBS !== 's3') return {}
  if (!s3IsGiven) throw new Error('TEST_BLOBS=s3 needs S3_ENDPOINT and S3_BUCKET')
  // The stories ask the house for the bytes, as they do on disk.
  return { ...freshPlace(), DOWNLOADS: 'proxy' }
}

type Tuning = Parameters<typeof s3Blobs>[2]

/** An empty place in the bucket, with the ledger in a file of its own. */
export async function openS3Place(tuning: Tuning = {}) {
  const dir = await mkdtemp(join(tmpdir(), 'holdall-s3-'))
  const db = openDatabase({ kind: 'sqlite', path: join(dir, 'ledger.db') })
  await migrateToLatest(db)
  const ledger = createMultipartStore(db)
  // With S3_BUCKET set it is no other.
  const config = readConfig(freshPlace()).blobs as S3Config
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
