import { StorageError } from '../../../errors.ts'
import type { Bucket } from '../api/bucket.ts'
import { nullIfExists } from '../api/errors.ts'
import type { Bytes } from '../api/put-stream.ts'
import { retryWhileMissing } from '../api/retry.ts'
import type { MultipartStore, Part, Staged, Tail } from '../multipart-state.ts'
import type { ObjectKeys } from '../object-keys.ts'
import type { recentBytes } from '../staging/recent-bytes.ts'
import { staleWriter } from '../staging/truncate.ts'
import { MAX_PARTS } from './part-sizes.ts'

export type Stores = {
  bucket: Bucket
  places: ObjectKeys
  ledger: MultipartStore
  remembered: ReturnType<typeof recentBytes>
}

/** What bytes became in the bucket. */
export type Arrived = { tail: Tail } | { part: Part } | { whole: string }

/** The three ways in which bytes of `staged` get into the bucket. A multipart upload is begun with the first part. */
export function createPartWriter(stores: Stores, { key, turn, multipartId }: Staged) {
  const { bucket, places, ledger } = stores
  let multipart: Promise<string> | undefined

  async function begin() {
    if (multipartId !== null) return multipartId
    const begun = await bucket.begin(places.kept(key))
    if (await ledger.write(key, turn, { multipartId: begun })) return begun
    await bucket.abort(places.kept(key), begun)
    throw staleWriter(key)
  }

  return {
    async tail(tail: Tail, bytes: Bytes): Promise<Arrived> {
      await bucket.put(places.tail(key, tail.name), bytes)
      return { tail }
    },
    async part(number: number, bytes: Bytes): Promise<{ part: Part }> {
      if (number > MAX_PARTS) throw new StorageError(`${key} is longer than ${MAX_PARTS} parts`)
      multipart ??= begin()
      const which = { multipartId: await multipart, number }
      const etag = await bucket.part(places.kept(key), which, bytes)
      return { part: { number, etag, size: bytes.length } }
    },
    /** All of it at its final place, by one request. */
    whole: async (bytes: Bytes): Promise<Arrived> => ({
      whole: await putWhole(stores, { key, turn }, bytes),
    }),
  }
}

/**
 * All of a key at its final place, by one request; answers with its ETag. Who has been overtaken, frozen perhaps since the bytes came,
 * never writes over what the other one wrote: where something is there already, it is looked at first, the turn after that, and
 * written over only if it is still the same.
 */
export async function putWhole(
  { bucket, places, ledger }: Stores,
  { key, turn }: Pick<Staged, 'key' | 'turn'>,
  bytes: Bytes,
): Promise<string> {
  const name = places.kept(key)
  const first = await bucket.put(name, bytes, { IfNoneMatch: '*' }).catch(nullIfExists)
  if (first !== null) return first
  const there = await retryWhileMissing(() => bucket.head(name))
  if ((await ledger.load(key))?.turn !== turn) throw staleWriter(key)
  return bucket.put(name, bytes, there ? { IfMatch: there.etag } : { IfNoneMatch: '*' })
}
