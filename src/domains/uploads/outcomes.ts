import { BatchAborted, DomainError, InvalidInput } from '../../errors.ts'
import type { UploadRow } from './rules.ts'

/** What became of one item of a batch. */
export type UploadOutcome = { index: number; upload: UploadRow | null; error: DomainError | null }
const MOST = 100

export function checkBatchSize(items: readonly unknown[]) {
  if (items.length >= 1 && items.length <= MOST) return
  throw new InvalidInput({ path: ['uploads'], message: `1 to ${MOST} uploads` })
}

export const done = (upload: UploadRow, index: number): UploadOutcome => ({
  index,
  upload,
  error: null,
})

/** One item kept all the others from being done. */
export function noneDone(items: readonly unknown[], failedIndex: number, error: DomainError) {
  const others = new BatchAborted(failedIndex)
  return items.map((_, index) => failed(index, index === failedIndex ? error : others))
}

/** Each item by itself, one after the other: among those that want the same name the first gets it. */
export async function apart<Item>(
  items: readonly Item[],
  act: (item: Item) => Promise<UploadRow>,
): Promise<UploadOutcome[]> {
  const outcomes: UploadOutcome[] = []
  for (const [index, item] of items.entries()) {
    const outcome = await act(item).then(
      (upload) => done(upload, index),
      (error) => failed(index, asDomainError(error)),
    )
    outcomes.push(outcome)
  }
  return outcomes
}

const failed = (index: number, error: DomainError): UploadOutcome => ({
  index,
  upload: null,
  error,
})

/** What is a bug, and no answer to anybody, is thrown again. */
export function asDomainError(error: unknown): DomainError {
  if (error instanceof DomainError) return error
  throw error
}
