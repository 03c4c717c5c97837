import type { BlobStore } from '../blob-store.ts'
import type { Cadence } from './append.ts'
import { diskKeeping } from './keeping.ts'
import { blobsBelow } from './list.ts'
import { diskPlaces } from './places.ts'
import { diskStaging } from './staging.ts'

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
