import { StorageError } from '../../../errors/availability.ts'
import type { Bucket } from '../api/bucket.ts'
import { nullIfExists } from '../api/errors.ts'
import type { Bytes } from '../api/put-stream.ts'
import { retryWhileMissing } from '../api/retry.ts'
import type { IncompletePart, MultipartStore, Part, Staged } from '../multipart-state.ts'
import type { ObjectKeys } from '../object-keys.ts'
import type { createRecentBytes } from '../staging/recent-bytes.ts'
import { staleWriter } from '../staging/truncate.ts'
import { MAX_PARTS } from './part-sizes.ts'

export type Stores = {
  bucket: Bucket
  objectKeys: ObjectKeys
  multipartStore: MultipartStore
  recentBytes: ReturnType<typeof createRecentBytes>
}

/** How bytes were stored in the bucket. */
export type Stored = { incompletePart: IncompletePart } | { part: Part } | { whole: string }

/**
 * Writes bytes of `staged` to the bucket in one of three ways. The multipart upload is created with the first
 * part.
 */
export function createPartWriter(stores: Stores, { key, fencingToken, multipartId }: Staged) {
  const { bucket, objectKeys, multipartStore } = stores
  let multipart: Promise<string> | undefined

  async function begin() {
    if (multipartId !== null) return multipartId
    const begun = await bucket.begin(objectKeys.kept(key))
    if (await multipartStore.write(key, fencingToken, { multipartId: begun })) return begun
    await bucket.abort(objectKeys.kept(key), begun)
    throw staleWriter(key)
  }

  return {
    async incompletePart(incompletePart: IncompletePart, bytes: Bytes): Promise<Stored> {
      await bucket.put(objectKeys.incompletePart(key, incompletePart.name), bytes)
      return { incompletePart }
    },
    async part(number: number, bytes: Bytes): Promise<{ part: Part }> {
      if (number > MAX_PARTS)
        throw new StorageError(`${key} needs part ${number} (limit ${MAX_PARTS})`)
      multipart ??= begin()
      const which = { multipartId: await multipart, number }
      const etag = await bucket.part(objectKeys.kept(key), which, bytes)
      return { part: { number, etag, size: bytes.length } }
    },
    /** Writes the whole object at its final name in one request. */
    whole: async (bytes: Bytes): Promise<Stored> => ({
      whole: await putWhole(stores, { key, fencingToken }, bytes),
    }),
  }
}

/**
 * Writes the whole object at its final name in one request and returns its ETag. A stale writer, perhaps
 * suspended since its bytes arrived, must never overwrite its successor's object: if an object exists, it is
 * looked up first, then the fencing token is checked, and the object is overwritten only if it is still the
 * same.
 */
export async function putWhole(
  { bucket, objectKeys, multipartStore }: Stores,
  { key, fencingToken }: Pick<Staged, 'key' | 'fencingToken'>,
  bytes: Bytes,
): Promise<string> {
  const name = objectKeys.kept(key)
  const first = await bucket.put(name, bytes, { IfNoneMatch: '*' }).catch(nullIfExists)
  if (first !== null) return first
  const existing = await retryWhileMissing(() => bucket.head(name))
  if ((await multipartStore.load(key))?.fencingToken !== fencingToken) throw staleWriter(key)
  return bucket.put(name, bytes, existing ? { IfMatch: existing.etag } : { IfNoneMatch: '*' })
}
