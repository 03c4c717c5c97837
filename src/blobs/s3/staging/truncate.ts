import { StorageError } from '../../../errors.ts'
import type { Change, MultipartStore, Staged } from '../multipart-state.ts'
import {
  type IncompletePartStores,
  incompletePartsBetween,
  removeIncompleteParts,
} from './incomplete-parts.ts'

/**
 * What is staged, cut to its first `offset` bytes. Parts can only go whole: what is left of one that is cut lies in the tails
 * from which it was made, which stay until an offset beyond it is committed. What is not there any more is a StorageError.
 */
export async function truncateTo(
  stores: IncompletePartStores & { ledger: MultipartStore },
  staged: Staged,
  offset: number,
): Promise<Staged> {
  const { key, turn, length } = staged
  if (length < offset) throw missing(length, offset)
  const inParts = partsWithin(staged, offset)
  const tails = incompletePartsBetween(staged.tails, inParts, offset)
  if (staged.whole !== null && length === offset) return staged
  if (!tails) throw missing(inParts, offset)
  const names = new Set(tails.map(({ name }) => name))
  const dropTails = staged.tails.map(({ name }) => name).filter((name) => !names.has(name))
  const cut = { length: offset, inParts, ...(staged.whole !== null && notWhole) }
  if (length > offset || dropTails.length > 0) {
    const partsUpTo = Math.ceil(inParts / staged.partSize)
    const written = await ledger(stores, staged, { ...cut, partsUpTo, tails, dropTails })
    if (!written) throw staleWriter(key)
    await removeIncompleteParts(stores, key, dropTails)
  }
  return { ...staged, ...cut, turn, tails }
}

/** A multipart upload that was put together takes no part any more. */
const notWhole = { whole: null, multipartId: null }

const ledger = ({ ledger }: { ledger: MultipartStore }, { key, turn }: Staged, change: Change) =>
  ledger.write(key, turn, change)

/** How many of the first `offset` bytes lie in parts that stay. */
function partsWithin({ whole, inParts, partSize }: Staged, offset: number) {
  if (whole !== null) return 0
  return inParts <= offset ? inParts : Math.floor(offset / partSize) * partSize
}

const missing = (are: number, should: number) =>
  new StorageError(`${should} bytes should be staged, ${are} are there`)

export const staleWriter = (key: string) =>
  new StorageError(`another request has taken ${key} over, or it was discarded`)
