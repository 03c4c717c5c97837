import { createSingleFlight } from '../../concurrency/single-flight.ts'
import { StorageError } from '../../errors/availability.ts'
import type { BlobStore } from '../blob-store.ts'
import { wrapBucketError } from './api/errors.ts'
import { retryWhileMissing } from './api/retry.ts'
import { abortMultipart, completeUpload } from './multipart/complete.ts'
import type { Stores } from './multipart/put-parts.ts'
import type { Staged } from './multipart-state.ts'
import { removeIncompleteParts } from './staging/incomplete-parts.ts'

type Committed = Pick<BlobStore, 'commit' | 'open' | 'remove'>

/** Creates the half of the store that holds committed blobs. */
export function s3Committed(stores: Stores): Committed {
  const { bucket, objectKeys, multipartStore } = stores
  const commitOnce = createSingleFlight<void>()

  async function commit(key: string) {
    const staged = await multipartStore.load(key)
    if (!staged) return requireCommitted(stores, key)
    await completeUpload(stores, staged)
    await deleteStagingState(stores, staged)
  }

  return {
    async commit(key) {
      objectKeys.kept(key)
      await commitOnce(key, () => commit(key))
    },
    async open(key, range) {
      const found = await bucket
        .get(objectKeys.kept(key), range)
        .catch(wrapBucketError(`${key} could not be read`))
      if (!found) throw new StorageError(`${key} is not committed`)
      return found
    },
    async remove(key) {
      await bucket
        .remove(objectKeys.kept(key))
        .catch(wrapBucketError(`${key} could not be removed`))
    },
  }
}

async function requireCommitted({ bucket, objectKeys }: Stores, key: string) {
  const found = await retryWhileMissing(() => bucket.head(objectKeys.kept(key))).catch(
    wrapBucketError(`${key} could not be checked`),
  )
  if (!found) throw new StorageError(`${key} does not exist`)
}

/**
 * Deletes the state that was needed only while bytes arrived. The row is deleted last, so that an interrupted
 * deletion is repeated.
 */
async function deleteStagingState(stores: Stores, staged: Staged) {
  const { key, incompleteParts, whole, inParts, multipartId } = staged
  const names = incompleteParts.map(({ name }) => name)
  await removeIncompleteParts(stores, key, names)
  // A multipart upload was created, but the bytes were then written by a single PUT.
  const unused = whole !== null || inParts === 0
  if (unused && multipartId !== null) await abortMultipart(stores, key, multipartId).catch(() => {})
  await stores.multipartStore.delete(key)
}
