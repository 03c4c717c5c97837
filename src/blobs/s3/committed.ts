import { createSingleFlight } from '../../concurrency/single-flight.ts'
import { StorageError } from '../../errors.ts'
import type { BlobStore } from '../blob-store.ts'
import { wrapBucketError } from './api/errors.ts'
import { retryWhileMissing } from './api/retry.ts'
import { abortMultipart, completeUpload } from './multipart/complete.ts'
import type { Stores } from './multipart/put-parts.ts'
import type { Staged } from './multipart-state.ts'
import { removeIncompleteParts } from './staging/incomplete-parts.ts'

type Keeping = Pick<BlobStore, 'adopt' | 'open' | 'remove'>

/** The half of the store where bytes stay. */
export function s3Committed(stores: Stores): Keeping {
  const { bucket, places, ledger } = stores
  const adopting = createSingleFlight<void>()

  async function adopt(key: string) {
    const staged = await ledger.load(key)
    if (!staged) return requireKept(stores, key)
    await completeUpload(stores, staged)
    await forgetStaging(stores, staged)
  }

  return {
    async adopt(key) {
      places.kept(key)
      await adopting(key, () => adopt(key))
    },
    async open(key, range) {
      const found = await bucket
        .get(places.kept(key), range)
        .catch(wrapBucketError(`${key} could not be read`))
      if (!found) throw new StorageError(`${key} is not kept`)
      return found
    },
    async remove(key) {
      await bucket.remove(places.kept(key)).catch(wrapBucketError(`${key} could not be removed`))
    },
  }
}

async function requireKept({ bucket, places }: Stores, key: string) {
  const found = await retryWhileMissing(() => bucket.head(places.kept(key))).catch(
    wrapBucketError(`${key} could not be looked at`),
  )
  if (!found) throw new StorageError(`${key} is not there`)
}

/** All that was needed while bytes arrived; the ledger last, so that what is cut short here is done again. */
async function forgetStaging(stores: Stores, staged: Staged) {
  const { key, tails, whole, inParts, multipartId } = staged
  const names = tails.map(({ name }) => name)
  await removeIncompleteParts(stores, key, names)
  // Begun for parts, but then all came as one.
  const unused = whole !== null || inParts === 0
  if (unused && multipartId !== null) await abortMultipart(stores, key, multipartId).catch(() => {})
  await stores.ledger.forget(key)
}
