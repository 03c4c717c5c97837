import type { Readable } from 'node:stream'
import { StorageError } from '../../../errors.ts'
import { wrapBucketError } from '../api/errors.ts'
import { completeUpload } from '../multipart/complete.ts'
import type { Stores } from '../multipart/put-parts.ts'
import type { Staged } from '../multipart-state.ts'
import { incompletePartsBetween, openIncompleteParts } from './incomplete-parts.ts'
import { staleWriter } from './truncate.ts'

/**
 * The first bytes of a key, staged (or null) or kept, `length` of them or all there are; null where nothing is there. Bytes in
 * parts can only be read as one object, so they are put together first; such an upload takes nothing more.
 */
export async function openFirst(
  stores: Stores,
  key: string,
  staged: Staged | null,
  length: number,
): Promise<Readable | null> {
  if (staged && staged.whole === null && staged.inParts > 0) await makeWhole(stores, staged)
  else if (staged && staged.whole === null && staged.length > 0) {
    return openIncompleteParts(stores, key, tailsUpTo(staged, length))
  }
  const range = { start: 0, end: Math.max(length, 1) - 1 }
  return stores.bucket
    .get(stores.places.kept(key), range)
    .catch(wrapBucketError(`${key} could not be read`))
}

function tailsUpTo({ key, tails, length }: Staged, wanted: number) {
  const found = incompletePartsBetween(tails, 0, Math.min(wanted, length))
  if (!found) throw new StorageError(`some of the first ${length} bytes of ${key} are not there`)
  return found
}

async function makeWhole(stores: Stores, staged: Staged) {
  const { key, turn } = staged
  const whole = await completeUpload(stores, staged)
  const written = await stores.ledger.write(key, turn, { whole, multipartId: null })
  if (!written) throw staleWriter(key)
}

export async function readFirst(stream: Readable, length: number): Promise<Uint8Array> {
  const chunks: Buffer[] = await stream.toArray()
  return Buffer.concat(chunks).subarray(0, length)
}
