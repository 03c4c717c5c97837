import type { S3Config } from '../../config.ts'
import type { BlobStore } from '../blob-store.ts'
import type { Tuning } from './append.ts'
import { openBucket } from './bucket.ts'
import { memoryBudget } from './budget.ts'
import { s3Direct } from './direct.ts'
import { bufferPool } from './held.ts'
import { s3Record } from './installation-record.ts'
import { s3Keeping } from './keeping.ts'
import type { Ledger } from './ledger.ts'
import { partSizeFor } from './parts.ts'
import { s3Places } from './places.ts'
import { s3Quarantine } from './quarantine.ts'
import { rememberedBytes } from './remembered.ts'
import { s3Staging } from './staging.ts'
import { listKept, listStaged } from './strays.ts'

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
  const [staging, keeping] = [s3Staging(stores, tuned), s3Keeping(stores)]
  return {
    ...staging,
    ...keeping,
    quarantine: s3Quarantine({ ...staging, ...keeping }),
    record: s3Record(stores.bucket, config.prefix),
    list: (where) => (where === 'staged' ? listStaged(stores) : listKept(stores)),
    direct: s3Direct(stores, config, tuned.partSizeFor),
  }
}
