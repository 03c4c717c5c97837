import type { BlobStore } from '../blob-store.ts'
import type { SyncInterval } from './append.ts'
import { diskCommitted } from './committed.ts'
import { exists } from './errors.ts'
import { diskRecord } from './installation-record.ts'
import { blobsBelow } from './list.ts'
import { diskPaths } from './paths.ts'
import { diskQuarantine } from './quarantine.ts'
import { diskStaging } from './staging.ts'

const DEFAULT_SYNC_INTERVAL: SyncInterval = { bytes: 64 * 1024 * 1024, ms: 10_000 }

/**
 * Creates a store on a disk: `<dir>/staged/<key>` while an upload is open, `<dir>/kept/ab/cd/<key>` once it
 * is committed. With `isReadOnly`, reads do not take blobs out of quarantine, and directories are created
 * only when something is written.
 */
export function diskBlobs(
  dir: string,
  syncInterval = DEFAULT_SYNC_INTERVAL,
  { isReadOnly = false }: { isReadOnly?: boolean } = {},
): BlobStore {
  const paths = diskPaths(dir, { isReadOnly })
  const quarantine = diskQuarantine(paths)
  const ctx = { paths, quarantine, isReadOnly }
  return {
    ...diskStaging(ctx, syncInterval),
    ...diskCommitted(ctx),
    async *list(where) {
      const folder = paths.folders[where]
      if (!isReadOnly || (await exists(folder))) yield* blobsBelow(folder)
    },
    quarantine: quarantine.contract,
    record: diskRecord(paths.root),
  }
}
