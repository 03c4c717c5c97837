import { StorageFault } from '../../../errors.ts'
import type { Change, Ledger, Staged } from '../multipart-state.ts'
import { removeTails, type TailStores, tailsBetween } from './incomplete-parts.ts'

/**
 * What is staged, cut to its first `offset` bytes. Parts can only go whole: what is left of one that is cut lies in the tails
 * from which it was made, which stay until an offset beyond it is committed. What is not there any more is a StorageFault.
 */
export async function cutBack(
  stores: TailStores & { ledger: Ledger },
  staged: Staged,
  offset: number,
): Promise<Staged> {
  const { key, turn, length } = staged
  if (length < offset) throw missing(length, offset)
  const inParts = partsWithin(staged, offset)
  const tails = tailsBetween(staged.tails, inParts, offset)
  if (staged.whole !== null && length === offset) return staged
  if (!tails) throw missing(inParts, offset)
  const names = new Set(tails.map(({ name }) => name))
  const dropTails = staged.tails.map(({ name }) => name).filter((name) => !names.has(name))
  const cut = { length: offset, inParts, ...(staged.whole !== null && notWhole) }
  if (length > offset || dropTails.length > 0) {
    const partsUpTo = Math.ceil(inParts / staged.partSize)
    const written = await ledger(stores, staged, { ...cut, partsUpTo, tails, dropTails })
    if (!written) throw overtaken(key)
    await removeTails(stores, key, dropTails)
  }
  return { ...staged, ...cut, turn, tails }
}

/** A multipart upload that was put together takes no part any more. */
const notWhole = { whole: null, multipartId: null }

const ledger = ({ ledger }: { ledger: Ledger }, { key, turn }: Staged, change: Change) =>
  ledger.write(key, turn, change)

/** How many of the first `offset` bytes lie in parts that stay. */
function partsWithin({ whole, inParts, partSize }: Staged, offset: number) {
  if (whole !== null) return 0
  return inParts <= offset ? inParts : Math.floor(offset / partSize) * partSize
}

const missing = (are: number, should: number) =>
  new StorageFault(`${should} bytes should be staged, ${are} are there`)

export const overtaken = (key: string) =>
  new StorageFault(`another request has taken ${key} over, or it was discarded`)
