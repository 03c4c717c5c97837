import { StorageFault } from '../../../errors.ts'
import type { Bucket } from '../api/bucket.ts'
import { unlessTaken } from '../api/errors.ts'
import type { Bytes } from '../api/put-stream.ts'
import { patiently } from '../api/retry.ts'
import type { Ledger, Part, Staged, Tail } from '../multipart-state.ts'
import type { S3Places } from '../object-keys.ts'
import type { rememberedBytes } from '../staging/recent-bytes.ts'
import { overtaken } from '../staging/truncate.ts'
import { MOST_PARTS } from './part-sizes.ts'

export type Stores = {
  bucket: Bucket
  places: S3Places
  ledger: Ledger
  remembered: ReturnType<typeof rememberedBytes>
}

/** What bytes became in the bucket. */
export type Arrived = { tail: Tail } | { part: Part } | { whole: string }

/** The three ways in which bytes of `staged` get into the bucket. A multipart upload is begun with the first part. */
export function putting(stores: Stores, { key, turn, multipartId }: Staged) {
  const { bucket, places, ledger } = stores
  let multipart: Promise<string> | undefined

  async function begin() {
    if (multipartId !== null) return multipartId
    const begun = await bucket.begin(places.kept(key))
    if (await ledger.write(key, turn, { multipartId: begun })) return begun
    await bucket.abort(places.kept(key), begun)
    throw overtaken(key)
  }

  return {
    async tail(tail: Tail, bytes: Bytes): Promise<Arrived> {
      await bucket.put(places.tail(key, tail.name), bytes)
      return { tail }
    },
    async part(number: number, bytes: Bytes): Promise<{ part: Part }> {
      if (number > MOST_PARTS) throw new StorageFault(`${key} is longer than ${MOST_PARTS} parts`)
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
  const first = await bucket.put(name, bytes, { IfNoneMatch: '*' }).catch(unlessTaken)
  if (first !== null) return first
  const there = await patiently(() => bucket.head(name))
  if ((await ledger.load(key))?.turn !== turn) throw overtaken(key)
  return bucket.put(name, bytes, there ? { IfMatch: there.etag } : { IfNoneMatch: '*' })
}
