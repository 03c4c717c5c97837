import { StorageError } from '../../../errors.ts'
import { wrapBucketError } from '../api/errors.ts'
import type { Staged } from '../multipart-state.ts'
import { hashStream } from '../staging/hash-stream.ts'
import type { Stores } from './put-parts.ts'

/** sha256 of all the bytes that are staged, where every one of them passed through this process. */
export const wasReceivedHere = ({ remembered }: Stores, { key, turn, length }: Staged) =>
  remembered.at(key, turn, length).sha256?.digest('hex')

/**
 * What is at the final place bears another ETag than was told: it counts only if it is, byte for byte, what came. Where nobody knows
 * that any more, or it is not, StorageError.
 */
export async function verifyObject(stores: Stores, staged: Staged): Promise<void> {
  const { bucket, places } = stores
  const { key, length } = staged
  const came = wasReceivedHere(stores, staged)
  const read = async () => hashStream(await bucket.get(places.kept(key)), length)
  const there = came && (await read().catch(wrapBucketError(`${key} could not be read`)))
  if (!came || there !== came) throw new StorageError(`${key} is not what was written`)
}
