import type { S3Config } from '../../config/config.ts'
import type { BlobStore } from '../blob-store.ts'
import { openBucket } from './api/bucket.ts'
import { s3Committed } from './committed.ts'
import { s3Record } from './installation-record.ts'
import { partSizeFor } from './multipart/part-sizes.ts'
import type { MultipartStore } from './multipart-state.ts'
import { createObjectKeys } from './object-keys.ts'
import { listCommitted, listStaged } from './orphans.ts'
import { s3Presigned } from './presign.ts'
import { s3Quarantine } from './quarantine.ts'
import type { Tuning } from './staging/append.ts'
import { createMemoryBudget } from './staging/memory-budget.ts'
import { createBufferPool } from './staging/part-buffer.ts'
import { createRecentBytes } from './staging/recent-bytes.ts'
import { s3Staging } from './staging/staging.ts'

const MIB = 1024 ** 2

const defaultTuning: Tuning & { memoryBytes: number } = {
  syncInterval: { bytes: 64 * MIB, ms: 10_000 },
  partSizeFor,
  partConcurrency: 3,
  maxIncompletePartBytes: 64 * MIB,
  memoryBytes: 128 * MIB,
}

/**
 * Creates a store in a bucket. Bytes are sent as parts of a multipart upload to `<prefix>kept/ab/cd/<key>`;
 * bytes that do not fill a part yet go to `<prefix>tails/<key>/…`. `multipartStore` records what the bucket
 * holds of each key.
 */
export function s3Blobs(
  config: S3Config,
  multipartStore: MultipartStore,
  tuning: Partial<typeof defaultTuning> = {},
): BlobStore {
  const tuned = { ...defaultTuning, ...tuning }
  const stores = {
    multipartStore,
    bucket: openBucket(config),
    objectKeys: createObjectKeys(config.prefix),
    budget: createMemoryBudget(tuned.memoryBytes),
    pool: createBufferPool(tuned.memoryBytes / 2),
    recentBytes: createRecentBytes(),
  }
  const [staging, committed] = [s3Staging(stores, tuned), s3Committed(stores)]
  return {
    ...staging,
    ...committed,
    quarantine: s3Quarantine({ ...staging, ...committed }),
    record: s3Record(stores.bucket, config.prefix),
    list: (where) => (where === 'staged' ? listStaged(stores) : listCommitted(stores)),
    presigned: s3Presigned(stores, config, tuned.partSizeFor),
  }
}
