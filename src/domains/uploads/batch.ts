import { BatchAborted, DomainError, InvalidInput } from '../../errors.ts'
import type { UploadRow } from './rules.ts'

/** What became of one item of a batch. */
export type UploadOutcome = { index: number; upload: UploadRow | null; error: DomainError | null }
export const MAX_BATCH_SIZE = 100

export function checkBatchSize(items: readonly unknown[]) {
  if (items.length >= 1 && items.length <= MAX_BATCH_SIZE) return
  throw new InvalidInput({ path: ['uploads'], message: `1 to ${MAX_BATCH_SIZE} uploads` })
}

export const succeeded = (upload: UploadRow, index: number): UploadOutcome => ({
  index,
  upload,
  error: null,
})

/** One item kept all the others from being done. */
export function allAborted(items: readonly unknown[], failedIndex: number, error: DomainError) {
  const others = new BatchAborted(failedIndex)
  return items.map((_, index) => failed(index, index === failedIndex ? error : others))
}

/** So many items of a batch are worked on at the same time. */
export const CONCURRENCY = 16

/** Comes once all items before have passed theirs on; an item that has ended passes it on by itself. */
export type Turn = { comes: Promise<unknown>; pass: () => void }
type Begin<Item> = (item: Item, turn: Turn) => Promise<{ outcome: Promise<UploadRow> }>

/**
 * Each item by itself. They are begun one after the other, and what they do in their turns they do in that order: among those that want
 * the same name the first gets it.
 */
export async function runIndependently<Item>(
  items: readonly Item[],
  begin: Begin<Item>,
): Promise<UploadOutcome[]> {
  const outcomes: Promise<UploadOutcome>[] = []
  let comes: Promise<unknown> = Promise.resolve()
  for (const [index, item] of items.entries()) {
    await outcomes[index - CONCURRENCY]
    const { promise: passed, resolve: pass } = Promise.withResolvers<void>()
    const begun = await begin(item, { comes, pass }).catch((error) => ({
      outcome: Promise.reject(error),
    }))
    comes = Promise.all([comes, passed])
    const outcome = begun.outcome.then(
      (upload) => succeeded(upload, index),
      (error) => failed(index, toDomainError(error)),
    )
    // Whoever waits for all of them hears of it.
    outcome.catch(() => {}).finally(pass)
    outcomes.push(outcome)
  }
  return Promise.all(outcomes)
}

const failed = (index: number, error: DomainError): UploadOutcome => ({
  index,
  upload: null,
  error,
})

/** What is a bug, and no answer to anybody, is thrown again. */
export function toDomainError(error: unknown): DomainError {
  if (error instanceof DomainError) return error
  throw error
}
