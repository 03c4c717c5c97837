import type { BlobsConfig } from '../config.ts'
import type { BlobStore } from './blob-store.ts'
import { diskBlobs } from './disk.ts'

/** The store that the configuration names; makes its folders where they are not there yet. */
export function openBlobs(config: BlobsConfig): BlobStore {
  return diskBlobs(config.dir)
}
