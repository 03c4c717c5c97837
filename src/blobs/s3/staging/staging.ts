import type { Readable } from 'node:stream'
import { createSingleFlight } from '../../../concurrency/single-flight.ts'
import { StorageError } from '../../../errors.ts'
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

/** The half of the store where bytes arrive. */
export function s3Staging(stores: AppendStores, tuning: Tuning): Staging {
  const { places, ledger, remembered } = stores
  const rereading = createSingleFlight<string>()

  /** Turns the ledger's page for whoever appends now, with what this process remembers of the bytes before `offset`. */
  async function begin(key: string, offset: number) {
    const taken = await ledger.takeTurn(key)
    if (!taken) throw new StorageError(`${key} is not staged`)
    const known = remembered.at(key, taken.turn - 1, offset)
    remembered.drop(key, taken.turn - 1)
    const staged = await truncateTo(stores, taken, offset)
    remembered.keep(key, taken.turn, offset, known.sha256, known.head)
    return { staged, known }
  }

  return {
    async stage(key, size = null) {
      places.kept(key)
      await ledger.stage(key, { size, partSize: tuning.partSizeFor(size) })
    },
    async append(key, offset, source, options = {}) {
      places.kept(key)
      // It may break while the database is asked; whoever reads it then sees that it did.
      source.on('error', () => {})
      const { staged, known } = await begin(key, offset)
      if (staged.whole !== null) return nothingMore(staged, source, options.signal)
      return appendToBucket(stores, staged, known, source, options, tuning)
    },
    async sha256(key, size) {
      places.kept(key)
      const staged = await ledger.load(key)
      const running = staged && remembered.at(key, staged.turn, size).sha256
      if (running) return running.digest('hex')
      if (staged && staged.length > 0 && staged.length < size) throw tooShort(staged, size)
      return rereading(`${key} ${size}`, async () =>
        hashStream(await openFirst(stores, key, staged, size), size).catch(
          wrapBucketError(`${key} could not be read`),
        ),
      )
    },
    async peek(key, length) {
      places.kept(key)
      const staged = await ledger.load(key)
      if (staged?.size === 0) return Buffer.alloc(0)
      const of = staged?.length ?? 0
      const head = staged && of > 0 && remembered.head(key, staged.turn, { length, of })
      if (head) return head
      const stream = await openFirst(stores, key, staged, length)
      if (!stream && (!staged || of > 0)) throw new StorageError(`${key} is not there`)
      if (!stream) return Buffer.alloc(0)
      return readFirst(stream, length).catch(wrapBucketError(`${key} could not be read`))
    },
    async discard(key) {
      places.kept(key)
      const staged = await ledger.load(key)
      if (staged) remembered.drop(key, staged.turn)
      await forget(stores, key, staged).catch(wrapBucketError(`${key} could not be discarded`))
    },
  }
}

/** All bytes are there as one object: the end of the upload may be said once more, but nothing put behind it. */
async function nothingMore(staged: Staged, source: Readable, signal?: AbortSignal) {
  let { length } = staged
  for await (const batch of batchChunks(source, 1_000, signal)) {
    for (const chunk of batch) length += chunk.length
    if (length > staged.length) break
  }
  if (length > staged.length && staged.size === null) {
    throw new StorageError(`${staged.key} was put together and takes nothing more`)
  }
  return length
}

const tooShort = ({ length }: Staged, size: number) =>
  new StorageError(`${size} bytes should be there, ${length} are`)

/** The ledger last: what is cut short is done again. */
async function forget(stores: AppendStores, key: string, staged: Staged | null) {
  const { bucket, places, ledger } = stores
  if (!staged || staged.turn > 0) await deleteOrphans(stores, key)
  if (!staged) return
  if (staged.multipartId !== null) await abortMultipart(stores, key, staged.multipartId)
  if (staged.whole !== null) await bucket.remove(places.kept(key))
  await ledger.forget(key)
}
