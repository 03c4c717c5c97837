import { DomainError } from '../../errors/domain-error.ts'
import { BatchAborted } from '../../errors/entries.ts'
import { InvalidInput } from '../../errors/input.ts'
import type { UploadRow } from './rules.ts'

/** The result of one item of a batch. */
export type UploadOutcome = { index: number; upload: UploadRow | null; error: DomainError | null }
export const MAX_BATCH_SIZE = 100

/** Throws InvalidInput if a batch is empty or has more than MAX_BATCH_SIZE items. */
export function checkBatchSize(items: readonly unknown[]) {
  if (items.length >= 1 && items.length <= MAX_BATCH_SIZE) return
  throw new InvalidInput({ path: ['uploads'], message: `1 to ${MAX_BATCH_SIZE} uploads` })
}

export const succeeded = (upload: UploadRow, index: number): UploadOutcome => ({
  index,
  upload,
  error: null,
})

/** Returns the results of a batch that one failed item aborted. */
export function allAborted(items: readonly unknown[], failedIndex: number, error: DomainError) {
  const others = new BatchAborted(failedIndex)
  return items.map((_, index) => failed(index, index === failedIndex ? error : others))
}

/** Number of items of a batch that run in parallel. */
export const CONCURRENCY = 16

/** Orders the items of a batch. `ready` resolves once each earlier item has called `done` or has ended. */
export type Turn = { ready: Promise<unknown>; done: () => void }
type Begin<Item> = (item: Item, turn: Turn) => Promise<{ outcome: Promise<UploadRow> }>

/**
 * Runs each item independently, up to CONCURRENCY in parallel. Items start in input order and take their
 * turns in that order, so that the first of several items with the same name gets the name.
 */
export async function runIndependently<Item>(
  items: readonly Item[],
  begin: Begin<Item>,
): Promise<UploadOutcome[]> {
  const outcomes: Promise<UploadOutcome>[] = []
  let ready: Promise<unknown> = Promise.resolve()
  for (const [index, item] of items.entries()) {
    await outcomes[index - CONCURRENCY]
    const { promise: turnEnded, resolve: done } = Promise.withResolvers<void>()
    const begun = await begin(item, { ready, done }).catch((error) => ({
      outcome: Promise.reject(error),
    }))
    ready = Promise.all([ready, turnEnded])
    const outcome = begun.outcome.then(
      (upload) => succeeded(upload, index),
      (error) => failed(index, toDomainError(error)),
    )
    // The error is reported by Promise.all below.
    outcome.catch(() => {}).finally(done)
    outcomes.push(outcome)
  }
  return Promise.all(outcomes)
}

const failed = (index: number, error: DomainError): UploadOutcome => ({
  index,
  upload: null,
  error,
})

/** Returns the error if it is a DomainError. Throws anything else, which is a bug. */
export function toDomainError(error: unknown): DomainError {
  if (error instanceof DomainError) return error
  throw error
}
