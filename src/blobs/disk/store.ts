import type { BlobStore } from '../blob-store.ts'
import type { SyncInterval } from './append.ts'
import { diskCommitted } from './committed.ts'
import { exists } from './errors.ts'
import { diskRecord } from './installation-record.ts'
import { blobsBelow } from './list.ts'
import { diskPaths } from './paths.ts'
import { diskQuarantine } from './quarantine.ts'
import { diskStaging } from './staging.ts'

const usualCadence: SyncInterval = { bytes: 64 * 1024 * 1024, ms: 10_000 }

/**
 * Bytes in files: `<dir>/staged/<key>` while they arrive, `<dir>/kept/ab/cd/<key>` for good. With `isReadOnly` what is read out of
 * quarantine stays there, and no folder is made before something is put into it.
 */
export function diskBlobs(
  dir: string,
  cadence = usualCadence,
  { isReadOnly = false }: { isReadOnly?: boolean } = {},
): BlobStore {
  const places = diskPaths(dir, { isReadOnly })
  const quarantine = diskQuarantine(places)
  const parts = { places, quarantine, isReadOnly }
  return {
    ...diskStaging(parts, cadence),
    ...diskCommitted(parts),
    async *list(where) {
      const folder = places.folders[where]
      if (!isReadOnly || (await exists(folder))) yield* blobsBelow(folder)
    },
    quarantine: quarantine.contract,
    record: diskRecord(places.root),
  }
}
