import type { BlobsConfig } from '../config.ts'
import { openAt } from '../open-at.ts'
import type { BlobStore } from './blob-store.ts'
import { diskBlobs } from './disk/store.ts'
import type { MultipartStore } from './s3/multipart-state.ts'

// What speaks to a bucket is loaded where there is one: its SDK takes a fifth of a start.

/**
 * Opens the store that the configuration names; makes its folders where they do not exist yet. A bucket's parts are written down in
 * `ledger`. With `isReadOnly`, to read something leaves it where it is, and no folder is made. Throws StartupError where a folder
 * cannot be opened.
 */
export async function openBlobs(
  config: BlobsConfig,
  ledger: MultipartStore,
  options: { isReadOnly?: boolean } = {},
): Promise<BlobStore> {
  if (config.kind === 'disk')
    return openAt('DATA_DIR', config.dir, () => diskBlobs(config.dir, undefined, options))
  const { s3Blobs } = await import('./s3/store.ts')
  return s3Blobs(config, ledger)
}

/** Asks the bucket, where the bytes are in one, whether it is there and may be used; throws StartupError. */
export async function requireBucket(config: BlobsConfig): Promise<void> {
  if (config.kind === 'disk') return
  const { checkBucket: requireContact } = await import('./s3/check-bucket.ts')
  await requireContact(config)
}
