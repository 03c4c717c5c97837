import type { BlobsConfig } from '../config/config.ts'
import { openAt } from '../config/open-at.ts'
import type { BlobStore } from './blob-store.ts'
import { diskBlobs } from './disk/store.ts'
import type { MultipartStore } from './s3/multipart-state.ts'

// The S3 SDK is loaded only if there is a bucket: it takes a fifth of the startup time.

/**
 * Opens the configured store and creates its directories if they are missing. A bucket store keeps the state
 * of multipart uploads in `multipartStore`. With `isReadOnly`, reads do not take blobs out of quarantine, and
 * directories are created only when something is written. Throws StartupError if a directory cannot be
 * opened.
 */
export async function openBlobs(
  config: BlobsConfig,
  multipartStore: MultipartStore,
  options: { isReadOnly?: boolean } = {},
): Promise<BlobStore> {
  if (config.kind === 'disk')
    return openAt('DATA_DIR', config.dir, () => diskBlobs(config.dir, undefined, options))
  const { s3Blobs } = await import('./s3/store.ts')
  return s3Blobs(config, multipartStore)
}

/** Checks that the bucket, if one is configured, exists and is accessible; throws StartupError otherwise. */
export async function requireBucket(config: BlobsConfig): Promise<void> {
  if (config.kind === 'disk') return
  const { checkBucket } = await import('./s3/check-bucket.ts')
  await checkBucket(config)
}
