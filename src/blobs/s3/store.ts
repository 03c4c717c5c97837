import type { S3Config } from '../../config.ts'
import type { BlobStore } from '../blob-store.ts'
import { openBucket } from './api/bucket.ts'
import { s3Committed } from './committed.ts'
import { s3Record } from './installation-record.ts'
import { partSizeFor } from './multipart/part-sizes.ts'
import type { MultipartStore } from './multipart-state.ts'
import { objectKeys } from './object-keys.ts'
import { listKept, listStaged } from './orphans.ts'
import { s3Presigned } from './presign.ts'
import { s3Quarantine } from './quarantine.ts'
import type { Tuning } from './staging/append.ts'
import { memoryBudget } from './staging/memory-budget.ts'
import { bufferPool } from './staging/part-buffer.ts'
import { recentBytes } from './staging/recent-bytes.ts'
import { s3Staging } from './staging/staging.ts'

const MIB = 1024 ** 2

const usualTuning: Tuning & { memoryBytes: number } = {
  cadence: { bytes: 64 * MIB, ms: 10_000 },
  partSizeFor,
  partsAtOnce: 3,
  largestTailBytes: 64 * MIB,
  memoryBytes: 128 * MIB,
}

/**
 * Bytes in a bucket: parts of a multipart upload straight to `<prefix>kept/ab/cd/<key>` while they arrive, and what does not make a
 * part yet at `<prefix>tails/<key>/…`. `ledger` knows what is there of each, so that the bucket is not asked.
 */
export function s3Blobs(
  config: S3Config,
  ledger: MultipartStore,
  tuning: Partial<typeof usualTuning> = {},
): BlobStore {
  const tuned = { ...usualTuning, ...tuning }
  const stores = {
    ledger,
    bucket: openBucket(config),
    places: objectKeys(config.prefix),
    budget: memoryBudget(tuned.memoryBytes),
    pool: bufferPool(tuned.memoryBytes / 2),
    remembered: recentBytes(),
  }
  const [staging, keeping] = [s3Staging(stores, tuned), s3Committed(stores)]
  return {
    ...staging,
    ...keeping,
    quarantine: s3Quarantine({ ...staging, ...keeping }),
    record: s3Record(stores.bucket, config.prefix),
    list: (where) => (where === 'staged' ? listStaged(stores) : listKept(stores)),
    direct: s3Presigned(stores, config, tuned.partSizeFor),
  }
}
