import type { Readable } from 'node:stream'
import { StorageError } from '../../../errors/availability.ts'
import { ChecksumMismatch } from '../../../errors/uploads.ts'
import type { AppendOptions } from '../../blob-store.ts'
import type { SyncInterval } from '../../disk/append.ts'
import { batchChunks } from '../../streams/batch-chunks.ts'
import { createChecksumVerifier } from '../../streams/checksum.ts'
import { createPartUploader, type UploadTuning } from '../multipart/part-uploader.ts'
import type { Stores } from '../multipart/put-parts.ts'
import type { Staged } from '../multipart-state.ts'
import type { MemoryBudget } from './memory-budget.ts'
import type { BufferPool } from './part-buffer.ts'
import type { RecentBytes } from './recent-bytes.ts'
import { createStateWriter } from './state-writer.ts'

export type AppendStores = Stores & { budget: MemoryBudget; pool: BufferPool }
export type Tuning = UploadTuning & {
  syncInterval: SyncInterval
  partSizeFor: (size: number | null) => number
}

/**
 * Implements BlobStore.append after the bytes of `staged`; `known` is what this process has cached of these
 * bytes.
 */
export async function appendToBucket(
  stores: AppendStores,
  staged: Staged,
  known: RecentBytes,
  source: Readable,
  options: AppendOptions,
  tuning: Tuning,
): Promise<number> {
  const uploader = createPartUploader(stores, staged, known.sha256?.copy(), tuning)
  const stateWriter = createStateWriter(stores, staged, uploader)
  const appending = { stores, staged, known, source, options, tuning, uploader, stateWriter }
  try {
    return await (options.checksum ? receiveVerified(appending) : receiveDurably(appending))
  } catch (error) {
    const received = uploader.end()
    await uploader.close()
    await stateWriter.abandon()
    // Another writer has taken over the key, or it was discarded: the caller will not use this length.
    if (error instanceof StorageError && (await isStale(stores, staged))) return received
    throw error
  } finally {
    await uploader.close()
    await stateWriter.removed()
  }
}

const isStale = async ({ multipartStore }: Stores, { key, fencingToken }: Staged) =>
  (await multipartStore.load(key))?.fencingToken !== fencingToken

type Appending = {
  stores: AppendStores
  staged: Staged
  known: RecentBytes
  source: Readable
  options: AppendOptions
  tuning: Tuning
  uploader: ReturnType<typeof createPartUploader>
  stateWriter: ReturnType<typeof createStateWriter>
}

async function receiveDurably(appending: Appending): Promise<number> {
  const { uploader, staged, tuning, options } = appending
  const { syncInterval } = tuning
  let [reported, reportedAt] = [staged.length, performance.now()]
  const isDue = () => performance.now() - reportedAt >= syncInterval.ms
  const report = async () => {
    ;[reported, reportedAt] = [await saveState(appending), performance.now()]
    await options.onDurable?.(reported)
    appending.stateWriter.committed(reported)
  }
  const received = await receiveAll(appending, async () => {
    const durable = uploader.sent.lastFinished()?.end ?? reported
    if (durable - reported >= syncInterval.bytes || (durable > reported && isDue())) await report()
    else if (isDue() && uploader.sent.isIdle()) uploader.spill()
  })
  if (received.isTooLong) return received.length
  await uploader.finish()
  // If the source is faster than the bucket, it ends while many bytes are still being sent.
  if (uploader.end() - reported >= syncInterval.bytes) await report()
  else await saveState(appending)
  return uploader.end()
}

/** Records nothing before the checksum is verified: the bytes may be in the bucket but do not count. */
async function receiveVerified(appending: Appending): Promise<number> {
  const { staged, source, options, stateWriter, uploader } = appending
  // Only called with a checksum.
  const check = createChecksumVerifier(options.checksum as NonNullable<AppendOptions['checksum']>)
  const received = await receiveAll(appending, async () => {}, check.update)
  if (received.isTooLong) return received.length
  const mismatch = check.mismatch()
  if (!mismatch) return finish(appending)
  await uploader.close()
  await stateWriter.abandon()
  if (source.readableEnded) throw new ChecksumMismatch(mismatch)
  return staged.length
}

/** Reads the source to its end. If it has more bytes than announced, stops reading and stores no more. */
async function receiveAll(
  { staged, source, options, tuning, uploader, known }: Appending,
  afterBatch: () => Promise<void>,
  onChunk = (_: Buffer) => {},
) {
  let { length } = staged
  for await (const batch of batchChunks(source, tuning.syncInterval.ms / 4, options.signal)) {
    for (const chunk of batch) {
      onChunk(chunk)
      known.head?.add(chunk)
      length += chunk.length
    }
    if (staged.size !== null && length > staged.size) return { length, isTooLong: true }
    await uploader.add(batch)
    uploader.sent.throwIfFailed()
    await afterBatch()
  }
  return { length, isTooLong: false }
}

async function finish(appending: Appending): Promise<number> {
  await appending.uploader.finish()
  await saveState(appending)
  return appending.uploader.end()
}

async function saveState({ stateWriter, staged, stores, known }: Appending): Promise<number> {
  const last = await stateWriter.record()
  const { key, fencingToken, length } = staged
  if (last) stores.recentBytes.set(key, fencingToken, last.end, last.hash, known.head)
  return last?.end ?? length
}
