import { StorageError } from '../../../errors/availability.ts'
import { isInvalidPart, nullIfMissing, wrapBucketError } from '../api/errors.ts'
import { retryWhileMissing } from '../api/retry.ts'
import type { Part, Staged } from '../multipart-state.ts'
import { concatParts, incompletePartsBetween } from '../staging/incomplete-parts.ts'
import { staleWriter } from '../staging/truncate.ts'
import { createPartWriter, putWhole, type Stores } from './put-parts.ts'
import { receivedHash, verifyObject } from './verify-object.ts'

/**
 * Combines all staged bytes into one object at its final name and returns its ETag. An earlier attempt whose
 * response was lost may have done so already: the object in the bucket decides. Throws StorageError if bytes
 * are missing.
 */
export async function completeUpload(stores: Stores, staged: Staged): Promise<string> {
  const { key, whole, length, inParts, multipartId } = staged
  if (whole === UNVERIFIED) return completeAsListed(stores, staged)
  if (whole !== null) return requireObject(stores, staged, whole)
  if (length === 0) return (await headObject(stores, key))?.etag ?? putEmpty(stores, staged)
  if (inParts === 0) return putIncompleteParts(stores, staged)
  const parts = await withLastPart(stores, staged)
  return complete(stores, staged, parts, multipartId ?? missing(staged))
}

const headObject = ({ bucket, objectKeys }: Stores, key: string) =>
  bucket.head(objectKeys.kept(key)).catch(wrapBucketError(`${key} could not be checked`))

/**
 * Returns the ETag of the object at the final name: the expected one, or that of an object whose bytes were
 * verified.
 */
async function requireObject(stores: Stores, staged: Staged, etag: string): Promise<string> {
  const object = await retryWhileMissing(() => headObject(stores, staged.key))
  if (!object || object.size !== staged.length) return missing(staged)
  if (object.etag !== etag) await verifyObject(stores, staged)
  return object.etag
}

function missing({ key, length }: Staged): never {
  throw new StorageError(`the bucket does not have ${length} bytes of ${key}`)
}

/**
 * Writes an empty object. The caller has found no existing one, which would have been uploaded through a
 * presigned URL or be already committed.
 */
const putEmpty = (stores: Stores, staged: Staged) =>
  putWhole(stores, staged, Buffer.alloc(0)).catch(
    wrapBucketError(`${staged.key} could not be written`),
  )

async function putIncompleteParts(stores: Stores, staged: Staged): Promise<string> {
  const { key } = staged
  const all = concatParts(stores, key, incompletePartsFrom(staged, 0))
  const etag = await putWhole(stores, staged, all).catch(
    wrapBucketError(`${key} could not be written`),
  )
  return requireObject(stores, staged, etag)
}

const incompletePartsFrom = (staged: Staged, start: number) =>
  incompletePartsBetween(staged.incompleteParts, start, staged.length) ?? missing(staged)

/** Returns the parts of all bytes; the incomplete parts become the last part. */
async function withLastPart(stores: Stores, staged: Staged): Promise<Part[]> {
  const { key, length, inParts, partSize, fencingToken } = staged
  const parts = await stores.multipartStore.parts(key)
  if (inParts === length) return parts
  const rest = concatParts(stores, key, incompletePartsFrom(staged, inParts))
  const { part } = await createPartWriter(stores, staged)
    .part(Math.floor(inParts / partSize) + 1, rest)
    .catch(wrapBucketError(`${key} could not be written`))
  const written = await stores.multipartStore.write(key, fencingToken, {
    inParts: length,
    parts: [part],
  })
  if (!written) throw staleWriter(key)
  return [...parts, part]
}

async function complete(stores: Stores, staged: Staged, parts: Part[], multipartId: string) {
  const { bucket, objectKeys } = stores
  const { key, length } = staged
  let rejection: unknown
  // An error or a missing response does not mean failure: the request may have succeeded. Of two concurrent
  // requests, either may complete the upload.
  await bucket.complete(objectKeys.kept(key), multipartId, parts).catch((cause) => {
    rejection = cause
  })
  const object = await retryWhileMissing(() => headObject(stores, key))
  if (object?.size === length) return object.etag
  if (isInvalidPart(rejection) && receivedHash(stores, staged))
    return completeAsListed(stores, staged)
  if (rejection !== undefined) wrapBucketError(`${key} could not be completed`)(rejection)
  return missing(staged)
}

/** Placeholder for an ETag: the bytes may already be one object, but only reading it can verify that. */
const UNVERIFIED = 'unproven'

/**
 * Completes the upload with the parts that the bucket lists, if the bucket rejects the ETags that it returned
 * earlier. A stale writer may have written one of the parts, so the bytes are verified.
 */
async function completeAsListed(stores: Stores, staged: Staged): Promise<string> {
  const { bucket, objectKeys, multipartStore } = stores
  const { key, fencingToken, multipartId } = staged
  const name = objectKeys.kept(key)
  const fault = wrapBucketError(`${key} could not be completed`)
  const id = multipartId ?? missing(staged)
  const listed = await bucket.parts(name, id).catch(nullIfMissing).catch(fault)
  if (listed) {
    if (!haveSameSizes(listed, await multipartStore.parts(key))) return missing(staged)
    if (!(await multipartStore.write(key, fencingToken, { whole: UNVERIFIED })))
      throw staleWriter(key)
    await bucket.complete(name, id, listed).catch(fault)
  }
  return requireObject(stores, staged, UNVERIFIED)
}

const haveSameSizes = (some: Part[], others: Part[]) =>
  some.length === others.length &&
  some.every(({ number, size }, i) => number === others[i]?.number && size === others[i]?.size)

/** Aborts a multipart upload; a missing one is not an error. */
export const abortMultipart = ({ bucket, objectKeys }: Stores, key: string, multipartId: string) =>
  bucket.abort(objectKeys.kept(key), multipartId).catch(nullIfMissing)
