import type { S3Config } from '../config.ts'
import type { BlobStore } from './blob-store.ts'
import type { Tuning } from './s3-append.ts'
import { openBucket } from './s3-bucket.ts'
import { memoryBudget } from './s3-budget.ts'
import { s3Direct } from './s3-direct.ts'
import { bufferPool } from './s3-held.ts'
import { s3Keeping } from './s3-keeping.ts'
import type { Ledger } from './s3-ledger.ts'
import { partSizeFor } from './s3-parts.ts'
import { s3Places } from './s3-places.ts'
import { rememberedBytes } from './s3-remembered.ts'
import { s3Staging } from './s3-staging.ts'
import { listKept, listStaged } from './s3-strays.ts'

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
  ledger: Ledger,
  tuning: Partial<typeof usualTuning> = {},
): BlobStore {
  const tuned = { ...usualTuning, ...tuning }
  const stores = {
    ledger,
    bucket: openBucket(config),
    places: s3Places(config.prefix),
    budget: memoryBudget(tuned.memoryBytes),
    pool: bufferPool(tuned.memoryBytes / 2),
    remembered: rememberedBytes(),
  }
  return {
    ...s3Staging(stores, tuned),
    ...s3Keeping(stores),
    list: (where) => (where === 'staged' ? listStaged(stores) : listKept(stores)),
    direct: s3Direct(stores, config, tuned.partSizeFor),
  }
}
