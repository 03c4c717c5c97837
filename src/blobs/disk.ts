import type { BlobStore } from './blob-store.ts'
import type { Cadence } from './disk-append.ts'
import { diskKeeping } from './disk-keeping.ts'
import { blobsBelow } from './disk-list.ts'
import { diskPlaces } from './disk-places.ts'
import { diskStaging } from './disk-staging.ts'

const usualCadence: Cadence = { bytes: 64 * 1024 * 1024, ms: 10_000 }

/** Bytes in files: `<dir>/staged/<key>` while they arrive, `<dir>/kept/ab/cd/<key>` for good. */
export function diskBlobs(dir: string, cadence = usualCadence): BlobStore {
  const places = diskPlaces(dir)
  return {
    ...diskStaging(places, cadence),
    ...diskKeeping(places),
    list: (where) => blobsBelow(places.folders[where]),
  }
}
