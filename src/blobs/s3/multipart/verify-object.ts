import { StorageError } from '../../../errors/availability.ts'
import { wrapBucketError } from '../api/errors.ts'
import type { Staged } from '../multipart-state.ts'
import { hashStream } from '../staging/hash-stream.ts'
import type { Stores } from './put-parts.ts'

/**
 * Returns the sha256 of all staged bytes if every one of them passed through this process, else undefined.
 */
export const receivedHash = ({ recentBytes }: Stores, { key, fencingToken, length }: Staged) =>
  recentBytes.at(key, fencingToken, length).sha256?.digest('hex')

/**
 * Verifies an object whose ETag differs from the expected one. Throws StorageError if its bytes are not the
 * received ones, or if their hash is not known.
 */
export async function verifyObject(stores: Stores, staged: Staged): Promise<void> {
  const { bucket, objectKeys } = stores
  const { key, length } = staged
  const expected = receivedHash(stores, staged)
  const read = async () => hashStream(await bucket.get(objectKeys.kept(key)), length)
  const actual = expected && (await read().catch(wrapBucketError(`${key} could not be read`)))
  if (!expected || actual !== expected)
    throw new StorageError(`${key} in the bucket differs from the received bytes`)
}
