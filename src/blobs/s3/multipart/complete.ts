import { StorageError } from '../../../errors.ts'
import { isInvalidPart, nullIfMissing, wrapBucketError } from '../api/errors.ts'
import { retryWhileMissing } from '../api/retry.ts'
import type { Part, Staged } from '../multipart-state.ts'
import { incompletePartsBetween, joined } from '../staging/incomplete-parts.ts'
import { staleWriter } from '../staging/truncate.ts'
import { createPartWriter, putWhole, type Stores } from './put-parts.ts'
import { verifyObject, wasReceivedHere } from './verify-object.ts'

/**
 * Makes one object of all that is staged, at its final place, and answers with its ETag. May find itself done by an earlier try whose
 * answer was lost: what the bucket then has decides, and nothing else.
 */
export async function completeUpload(stores: Stores, staged: Staged): Promise<string> {
  const { key, whole, length, inParts, multipartId } = staged
  if (whole === UNPROVEN) return completeAsListed(stores, staged)
  if (whole !== null) return requireObject(stores, staged, whole)
  if (length === 0) return (await found(stores, key))?.etag ?? putEmpty(stores, staged)
  if (inParts === 0) return putTails(stores, staged)
  const parts = await withLastPart(stores, staged)
  return complete(stores, staged, parts, multipartId ?? missing(staged))
}

const found = ({ bucket, places }: Stores, key: string) =>
  bucket.head(places.kept(key)).catch(wrapBucketError(`${key} could not be looked at`))

/** The ETag of what is at the final place: the one that was told, or that of bytes that are found to be those that came. */
async function requireObject(stores: Stores, staged: Staged, etag: string): Promise<string> {
  const object = await retryWhileMissing(() => found(stores, staged.key))
  if (!object || object.size !== staged.length) return missing(staged)
  if (object.etag !== etag) await verifyObject(stores, staged)
  return object.etag
}

function missing({ key, length }: Staged): never {
  throw new StorageError(`the bucket should have ${length} bytes of ${key}, and has not`)
}

/** What a bucket holds at the final place of a key without bytes was put there by other doors, or is kept already. */
const putEmpty = (stores: Stores, staged: Staged) =>
  putWhole(stores, staged, Buffer.alloc(0)).catch(
    wrapBucketError(`${staged.key} could not be written`),
  )

async function putTails(stores: Stores, staged: Staged): Promise<string> {
  const { key } = staged
  const all = joined(stores, key, tailsFrom(staged, 0))
  const etag = await putWhole(stores, staged, all).catch(
    wrapBucketError(`${key} could not be written`),
  )
  return requireObject(stores, staged, etag)
}

const tailsFrom = (staged: Staged, start: number) =>
  incompletePartsBetween(staged.tails, start, staged.length) ?? missing(staged)

/** The parts of all bytes; those that lie in tails become the last. */
async function withLastPart(stores: Stores, staged: Staged): Promise<Part[]> {
  const { key, length, inParts, partSize, turn } = staged
  const parts = await stores.ledger.parts(key)
  if (inParts === length) return parts
  const rest = joined(stores, key, tailsFrom(staged, inParts))
  const { part } = await createPartWriter(stores, staged)
    .part(Math.floor(inParts / partSize) + 1, rest)
    .catch(wrapBucketError(`${key} could not be written`))
  const written = await stores.ledger.write(key, turn, { inParts: length, parts: [part] })
  if (!written) throw staleWriter(key)
  return [...parts, part]
}

async function complete(stores: Stores, staged: Staged, parts: Part[], multipartId: string) {
  const { bucket, places } = stores
  const { key, length } = staged
  let refusal: unknown
  // Answered with an error, or not at all, it may have succeeded all the same; two who do it at once both want this object.
  await bucket.complete(places.kept(key), multipartId, parts).catch((cause) => {
    refusal = cause
  })
  const object = await retryWhileMissing(() => found(stores, key))
  if (object?.size === length) return object.etag
  if (isInvalidPart(refusal) && wasReceivedHere(stores, staged))
    return completeAsListed(stores, staged)
  if (refusal !== undefined) wrapBucketError(`${key} could not be put together`)(refusal)
  return missing(staged)
}

/** In place of an ETag: all has become one object, or may have, of which nothing is known but what reading it tells. */
const UNPROVEN = 'unproven'

/**
 * Where the bucket does not know the parts by the ETags that it told: of those that it lists. One of them may be of somebody who was
 * overtaken, so the bytes have the last word.
 */
async function completeAsListed(stores: Stores, staged: Staged): Promise<string> {
  const { bucket, places, ledger } = stores
  const { key, turn, multipartId } = staged
  const name = places.kept(key)
  const fault = wrapBucketError(`${key} could not be put together`)
  const id = multipartId ?? missing(staged)
  const listed = await bucket.parts(name, id).catch(nullIfMissing).catch(fault)
  if (listed) {
    if (!areAlike(listed, await ledger.parts(key))) return missing(staged)
    if (!(await ledger.write(key, turn, { whole: UNPROVEN }))) throw staleWriter(key)
    await bucket.complete(name, id, listed).catch(fault)
  }
  return requireObject(stores, staged, UNPROVEN)
}

const areAlike = (some: Part[], others: Part[]) =>
  some.length === others.length &&
  some.every(({ number, size }, i) => number === others[i]?.number && size === others[i]?.size)

/** Aborts a multipart upload; one that is not there (any more) is as good. */
export const abortMultipart = ({ bucket, places }: Stores, key: string, multipartId: string) =>
  bucket.abort(places.kept(key), multipartId).catch(nullIfMissing)
