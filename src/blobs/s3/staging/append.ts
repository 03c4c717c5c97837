import type { Readable } from 'node:stream'
import { ChecksumMismatch, StorageError } from '../../../errors.ts'
import type { AppendOptions } from '../../blob-store.ts'
import type { SyncInterval } from '../../disk/append.ts'
import { batchChunks } from '../../streams/batch-chunks.ts'
import { checking } from '../../streams/checksum.ts'
import { createPartUploader, type UploadTuning } from '../multipart/part-uploader.ts'
import type { Stores } from '../multipart/put-parts.ts'
import type { Staged } from '../multipart-state.ts'
import type { MemoryBudget } from './memory-budget.ts'
import type { BufferPool } from './part-buffer.ts'
import type { RecentBytes } from './recent-bytes.ts'
import { createStateWriter } from './state-writer.ts'

export type AppendStores = Stores & { budget: MemoryBudget; pool: BufferPool }
export type Tuning = UploadTuning & {
  cadence: SyncInterval
  partSizeFor: (size: number | null) => number
}

/** BlobStore.append behind the bytes of `staged`; `known` is what is remembered of those. */
export async function appendToBucket(
  stores: AppendStores,
  staged: Staged,
  known: RecentBytes,
  source: Readable,
  options: AppendOptions,
  tuning: Tuning,
): Promise<number> {
  const flow = createPartUploader(stores, staged, known.sha256?.copy(), tuning)
  const records = createStateWriter(stores, staged, flow)
  const going = { stores, staged, known, source, options, tuning, flow, records }
  try {
    return await (options.checksum ? takeProven(going) : takeDurably(going))
  } catch (error) {
    const heard = flow.end()
    await flow.close()
    await records.abandon()
    // A length that nobody will take: who has taken the key over, or discarded it, has taken it from our caller, too.
    if (error instanceof StorageError && (await isOver(stores, staged))) return heard
    throw error
  } finally {
    await flow.close()
    await records.removed()
  }
}

const isOver = async ({ ledger }: Stores, { key, turn }: Staged) =>
  (await ledger.load(key))?.turn !== turn

type Going = {
  stores: AppendStores
  staged: Staged
  known: RecentBytes
  source: Readable
  options: AppendOptions
  tuning: Tuning
  flow: ReturnType<typeof createPartUploader>
  records: ReturnType<typeof createStateWriter>
}

async function takeDurably(going: Going): Promise<number> {
  const { flow, staged, tuning, options } = going
  const { cadence } = tuning
  let [told, toldAt] = [staged.length, performance.now()]
  const isDue = () => performance.now() - toldAt >= cadence.ms
  const tell = async () => {
    ;[told, toldAt] = [await writeDown(going), performance.now()]
    await options.onDurable?.(told)
    going.records.committed(told)
  }
  const come = await takeAll(going, async () => {
    const durable = flow.sent.lastFinished()?.end ?? told
    if (durable - told >= cadence.bytes || (durable > told && isDue())) await tell()
    else if (isDue() && flow.sent.isIdle()) flow.spill()
  })
  if (come.tooMany) return come.length
  await flow.finish()
  // A source that is faster than the bucket ends while much is on its way.
  if (flow.end() - told >= cadence.bytes) await tell()
  else await writeDown(going)
  return flow.end()
}

/** Bytes that are not proven count for nothing: they may be in the bucket, but not in the ledger. */
async function takeProven(going: Going): Promise<number> {
  const { staged, source, options, records, flow } = going
  // Only with one are we here.
  const check = checking(options.checksum as NonNullable<AppendOptions['checksum']>)
  const come = await takeAll(going, async () => {}, check.update)
  if (come.tooMany) return come.length
  const wrong = check.verdict()
  if (!wrong) return finish(going)
  await flow.close()
  await records.abandon()
  if (source.readableEnded) throw new ChecksumMismatch(wrong)
  return staged.length
}

/** Takes the source in to its end; of more bytes than were announced it stops reading, and nothing more is kept. */
async function takeAll(
  { staged, source, options, tuning, flow, known }: Going,
  afterBatch: () => Promise<void>,
  alsoHash = (_: Buffer) => {},
) {
  let { length } = staged
  for await (const batch of batchChunks(source, tuning.cadence.ms / 4, options.signal)) {
    for (const chunk of batch) {
      alsoHash(chunk)
      known.head?.add(chunk)
      length += chunk.length
    }
    if (staged.size !== null && length > staged.size) return { length, tooMany: true }
    await flow.add(batch)
    flow.sent.throwIfFailed()
    await afterBatch()
  }
  return { length, tooMany: false }
}

async function finish(going: Going): Promise<number> {
  await going.flow.finish()
  await writeDown(going)
  return going.flow.end()
}

async function writeDown({ records, staged, stores, known }: Going): Promise<number> {
  const last = await records.record()
  const { key, turn, length } = staged
  if (last) stores.remembered.keep(key, turn, last.end, last.hash, known.head)
  return last?.end ?? length
}
