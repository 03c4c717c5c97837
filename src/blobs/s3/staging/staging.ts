import type { Readable } from 'node:stream'
import { createSingleFlight } from '../../../concurrency/single-flight.ts'
import { StorageError } from '../../../errors/availability.ts'
import type { BlobStore } from '../../blob-store.ts'
import { batchChunks } from '../../streams/batch-chunks.ts'
import { wrapBucketError } from '../api/errors.ts'
import { abortMultipart } from '../multipart/complete.ts'
import type { Staged } from '../multipart-state.ts'
import { deleteOrphans } from '../orphans.ts'
import { type AppendStores, appendToBucket, type Tuning } from './append.ts'
import { hashStream } from './hash-stream.ts'
import { openFirst, readFirst } from './read-staged.ts'
import { truncateTo } from './truncate.ts'

type Staging = Pick<BlobStore, 'stage' | 'append' | 'sha256' | 'peek' | 'discard'>

/** Creates the half of the store that receives uploads. */
export function s3Staging(stores: AppendStores, tuning: Tuning): Staging {
  const { objectKeys, multipartStore, recentBytes } = stores
  const hashOnce = createSingleFlight<string>()

  /**
   * Makes the caller the only writer, and returns the state with what this process has cached of the bytes
   * before `offset`.
   */
  async function begin(key: string, offset: number) {
    const taken = await multipartStore.acquireFencingToken(key)
    if (!taken) throw new StorageError(`${key} is not staged`)
    const known = recentBytes.at(key, taken.fencingToken - 1, offset)
    recentBytes.delete(key, taken.fencingToken - 1)
    const staged = await truncateTo(stores, taken, offset)
    recentBytes.set(key, taken.fencingToken, offset, known.sha256, known.head)
    return { staged, known }
  }

  return {
    async stage(key, size = null) {
      objectKeys.kept(key)
      await multipartStore.stage(key, { size, partSize: tuning.partSizeFor(size) })
    },
    async append(key, offset, source, options = {}) {
      objectKeys.kept(key)
      // The source may break while the database is queried; the reader detects that later.
      source.on('error', () => {})
      const { staged, known } = await begin(key, offset)
      if (staged.whole !== null) return rejectMoreBytes(staged, source, options.signal)
      return appendToBucket(stores, staged, known, source, options, tuning)
    },
    async sha256(key, size) {
      objectKeys.kept(key)
      const staged = await multipartStore.load(key)
      const running = staged && recentBytes.at(key, staged.fencingToken, size).sha256
      if (running) return running.digest('hex')
      if (staged && staged.length > 0 && staged.length < size) throw tooShortError(staged, size)
      return hashOnce(`${key} ${size}`, async () =>
        hashStream(await openFirst(stores, key, staged, size), size).catch(
          wrapBucketError(`${key} could not be read`),
        ),
      )
    },
    async peek(key, length) {
      objectKeys.kept(key)
      const staged = await multipartStore.load(key)
      if (staged?.size === 0) return Buffer.alloc(0)
      const of = staged?.length ?? 0
      const head = staged && of > 0 && recentBytes.head(key, staged.fencingToken, { length, of })
      if (head) return head
      const stream = await openFirst(stores, key, staged, length)
      if (!stream && (!staged || of > 0)) throw new StorageError(`${key} does not exist`)
      if (!stream) return Buffer.alloc(0)
      return readFirst(stream, length).catch(wrapBucketError(`${key} could not be read`))
    },
    async discard(key) {
      objectKeys.kept(key)
      const staged = await multipartStore.load(key)
      if (staged) recentBytes.delete(key, staged.fencingToken)
      await deleteStaged(stores, key, staged).catch(
        wrapBucketError(`${key} could not be discarded`),
      )
    },
  }
}

/**
 * Handles an append to a key whose bytes are already one object: stores nothing, and returns the length
 * including the first excess bytes of `source`. Throws StorageError if there are excess bytes and no size was
 * announced.
 */
async function rejectMoreBytes(staged: Staged, source: Readable, signal?: AbortSignal) {
  let { length } = staged
  for await (const batch of batchChunks(source, 1_000, signal)) {
    for (const chunk of batch) length += chunk.length
    if (length > staged.length) break
  }
  if (length > staged.length && staged.size === null) {
    throw new StorageError(`${staged.key} is complete and accepts no more bytes`)
  }
  return length
}

const tooShortError = ({ length }: Staged, size: number) =>
  new StorageError(`expected ${size} bytes, found ${length}`)

/** Deletes the row last, so that an interrupted deletion is repeated. */
async function deleteStaged(stores: AppendStores, key: string, staged: Staged | null) {
  const { bucket, objectKeys, multipartStore } = stores
  if (!staged || staged.fencingToken > 0) await deleteOrphans(stores, key)
  if (!staged) return
  if (staged.multipartId !== null) await abortMultipart(stores, key, staged.multipartId)
  if (staged.whole !== null) await bucket.remove(objectKeys.kept(key))
  await multipartStore.delete(key)
}
