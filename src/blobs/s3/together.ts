import { StorageFault } from '../../errors.ts'
import { overtaken } from './cut.ts'
import { orBucketFault, unlessGone } from './faults.ts'
import type { Part, Staged } from './ledger.ts'
import { putting, putWhole, type Stores } from './putting.ts'
import { joined, tailsBetween } from './tails.ts'

/**
 * Makes one object of all that is staged, at its final place, and answers with its ETag. May find itself done by an earlier try whose
 * answer was lost: what the bucket then has decides, and nothing else.
 */
export async function putTogether(stores: Stores, staged: Staged): Promise<string> {
  const { key, whole, length, inParts, multipartId } = staged
  if (whole !== null) return requireObject(stores, staged, whole)
  if (length === 0) return (await found(stores, key))?.etag ?? putEmpty(stores, staged)
  if (inParts === 0) return putTails(stores, staged)
  const parts = await withLastPart(stores, staged)
  return complete(stores, staged, parts, multipartId ?? missing(staged))
}

const found = ({ bucket, places }: Stores, key: string) =>
  bucket.head(places.kept(key)).catch(orBucketFault(`${key} could not be looked at`))

async function requireObject(stores: Stores, staged: Staged, etag?: string): Promise<string> {
  const object = await found(stores, staged.key)
  if (!object || object.size !== staged.length) return missing(staged)
  if (etag !== undefined && object.etag !== etag) {
    throw new StorageFault(`${staged.key} is not what was written`)
  }
  return object.etag
}

function missing({ key, length }: Staged): never {
  throw new StorageFault(`the bucket should have ${length} bytes of ${key}, and has not`)
}

/** What a bucket holds at the final place of a key without bytes was put there by other doors, or is kept already. */
const putEmpty = (stores: Stores, staged: Staged) =>
  putWhole(stores, staged, Buffer.alloc(0)).catch(
    orBucketFault(`${staged.key} could not be written`),
  )

async function putTails(stores: Stores, staged: Staged): Promise<string> {
  const { key } = staged
  const all = joined(stores, key, tailsFrom(staged, 0))
  const etag = await putWhole(stores, staged, all).catch(
    orBucketFault(`${key} could not be written`),
  )
  return requireObject(stores, staged, etag)
}

const tailsFrom = (staged: Staged, start: number) =>
  tailsBetween(staged.tails, start, staged.length) ?? missing(staged)

/** The parts of all bytes; those that lie in tails become the last. */
async function withLastPart(stores: Stores, staged: Staged): Promise<Part[]> {
  const { key, length, inParts, partSize, turn } = staged
  const parts = await stores.ledger.parts(key)
  if (inParts === length) return parts
  const rest = joined(stores, key, tailsFrom(staged, inParts))
  const { part } = await putting(stores, staged)
    .part(Math.floor(inParts / partSize) + 1, rest)
    .catch(orBucketFault(`${key} could not be written`))
  const written = await stores.ledger.write(key, turn, { inParts: length, parts: [part] })
  if (!written) throw overtaken(key)
  return [...parts, part]
}

async function complete(stores: Stores, staged: Staged, parts: Part[], multipartId: string) {
  const { bucket, places } = stores
  let refusal: unknown
  // Answered with an error, or not at all, it may have succeeded all the same; two who do it at once both want this object.
  await bucket.complete(places.kept(staged.key), multipartId, parts).catch((cause) => {
    refusal = cause
  })
  const object = await found(stores, staged.key)
  if (object?.size === staged.length) return object.etag
  if (refusal !== undefined) orBucketFault(`${staged.key} could not be put together`)(refusal)
  return missing(staged)
}

/** Aborts a multipart upload; one that is not there (any more) is as good. */
export const abortMultipart = ({ bucket, places }: Stores, key: string, multipartId: string) =>
  bucket.abort(places.kept(key), multipartId).catch(unlessGone)
