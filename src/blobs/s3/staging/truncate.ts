import { StorageError } from '../../../errors/availability.ts'
import type { Change, MultipartStore, Staged } from '../multipart-state.ts'
import {
  type IncompletePartStores,
  incompletePartsBetween,
  removeIncompleteParts,
} from './incomplete-parts.ts'

/**
 * Truncates the staged state to its first `offset` bytes. Parts can only be deleted whole: the bytes of a
 * truncated part are then read from the incomplete parts that it was made of, which stay until a later offset
 * is committed. Throws StorageError if bytes are missing.
 */
export async function truncateTo(
  stores: IncompletePartStores & { multipartStore: MultipartStore },
  staged: Staged,
  offset: number,
): Promise<Staged> {
  const { key, fencingToken, length } = staged
  if (length < offset) throw missingBytes(length, offset)
  const inParts = partsWithin(staged, offset)
  const incompleteParts = incompletePartsBetween(staged.incompleteParts, inParts, offset)
  if (staged.whole !== null && length === offset) return staged
  if (!incompleteParts) throw missingBytes(inParts, offset)
  const names = new Set(incompleteParts.map(({ name }) => name))
  const removedIncompleteParts = staged.incompleteParts
    .map(({ name }) => name)
    .filter((name) => !names.has(name))
  const cut = { length: offset, inParts, ...(staged.whole !== null && notWhole) }
  if (length > offset || removedIncompleteParts.length > 0) {
    const partsUpTo = Math.ceil(inParts / staged.partSize)
    const written = await writeState(stores, staged, {
      ...cut,
      partsUpTo,
      incompleteParts,
      removedIncompleteParts,
    })
    if (!written) throw staleWriter(key)
    await removeIncompleteParts(stores, key, removedIncompleteParts)
  }
  return { ...staged, ...cut, fencingToken, incompleteParts }
}

/** A completed multipart upload accepts no more parts. */
const notWhole = { whole: null, multipartId: null }

const writeState = (
  { multipartStore }: { multipartStore: MultipartStore },
  { key, fencingToken }: Staged,
  change: Change,
) => multipartStore.write(key, fencingToken, change)

/** Returns how many of the first `offset` bytes are in parts that stay. */
function partsWithin({ whole, inParts, partSize }: Staged, offset: number) {
  if (whole !== null) return 0
  return inParts <= offset ? inParts : Math.floor(offset / partSize) * partSize
}

const missingBytes = (found: number, expected: number) =>
  new StorageError(`expected ${expected} staged bytes, found ${found}`)

/** Returns the error of a writer whose fencing token is outdated. */
export const staleWriter = (key: string) =>
  new StorageError(`${key} was taken over by another request or discarded`)
