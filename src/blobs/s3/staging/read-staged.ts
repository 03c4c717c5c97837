import type { Readable } from 'node:stream'
import { StorageError } from '../../../errors/availability.ts'
import { wrapBucketError } from '../api/errors.ts'
import { completeUpload } from '../multipart/complete.ts'
import type { Stores } from '../multipart/put-parts.ts'
import type { Staged } from '../multipart-state.ts'
import { incompletePartsBetween, openIncompleteParts } from './incomplete-parts.ts'
import { staleWriter } from './truncate.ts'

/**
 * Opens the first `length` bytes (all if there are fewer) of a staged key, or of a committed key if `staged`
 * is null. Returns null if the bucket has none. Parts can be read only as one object, so the upload is
 * completed first and then accepts no more bytes.
 */
export async function openFirst(
  stores: Stores,
  key: string,
  staged: Staged | null,
  length: number,
): Promise<Readable | null> {
  if (staged && staged.whole === null && staged.inParts > 0) await completeStaged(stores, staged)
  else if (staged && staged.whole === null && staged.length > 0) {
    return openIncompleteParts(stores, key, incompletePartsUpTo(staged, length))
  }
  const range = { start: 0, end: Math.max(length, 1) - 1 }
  return stores.bucket
    .get(stores.objectKeys.kept(key), range)
    .catch(wrapBucketError(`${key} could not be read`))
}

function incompletePartsUpTo({ key, incompleteParts, length }: Staged, wanted: number) {
  const found = incompletePartsBetween(incompleteParts, 0, Math.min(wanted, length))
  if (!found) throw new StorageError(`some of the first ${length} bytes of ${key} are missing`)
  return found
}

async function completeStaged(stores: Stores, staged: Staged) {
  const { key, fencingToken } = staged
  const whole = await completeUpload(stores, staged)
  const written = await stores.multipartStore.write(key, fencingToken, { whole, multipartId: null })
  if (!written) throw staleWriter(key)
}

/** Reads the first `length` bytes, or all if there are fewer. */
export async function readFirst(stream: Readable, length: number): Promise<Uint8Array> {
  const chunks: Buffer[] = await stream.toArray()
  return Buffer.concat(chunks).subarray(0, length)
}
