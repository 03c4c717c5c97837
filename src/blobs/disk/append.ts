import type { Hash } from 'node:crypto'
import type { FileHandle } from 'node:fs/promises'
import type { Readable } from 'node:stream'
import { ChecksumMismatch, StorageError } from '../../errors.ts'
import type { AppendOptions } from '../blob-store.ts'
import { batchChunks } from '../streams/batch-chunks.ts'
import { type Checksum, checking } from '../streams/checksum.ts'
import { releaseBuffers } from '../streams/release-buffers.ts'
import { wrapIoError } from './errors.ts'

/** After how many bytes, or how long on a slow line, what arrived is made durable though more will come. */
export type SyncInterval = { bytes: number; ms: number }

type Appending = Omit<AppendOptions, 'checksum'> & {
  file: FileHandle
  /** When the file itself is durable in its folder. */
  placed: Promise<unknown>
  offset: number
  source: Readable
  /** The hash of the bytes before `offset`, to go on with; undefined where nobody knows it. */
  sha256: Hash | undefined
  /** Hears of each length that is durable, and the hash of just that many bytes where it is known. */
  remember: (length: number, sha256: Hash | undefined) => void
  cadence: SyncInterval
}

/** BlobStore.append on an open file. */
export async function appendToFile(appending: Appending, checksum?: Checksum) {
  await cutBack(appending, appending.offset)
  let reported = appending.offset
  const onDurable = async (length: number) => {
    reported = length
    await appending.onDurable?.(length)
  }
  const watched = { ...appending, onDurable }
  try {
    return await (checksum ? appendProven(watched, checksum) : appendDurably(watched))
  } catch (error) {
    // A full disk is not to be kept full by bytes that do not count. What was reported may count, whatever came of the report.
    if (error instanceof StorageError) await cutBack(appending, reported).catch(() => {})
    throw error
  }
}

/** Bytes that are not proven count for nothing: nobody hears of them before the verdict, for an offset never goes back. */
async function appendProven(appending: Appending, checksum: Checksum) {
  const { offset, source, sha256, remember } = appending
  const check = checking(checksum)
  const unheard = { ...appending, onDurable: undefined, remember: () => {} }
  const length = await appendDurably(unheard, check.update)
  const wrong = check.verdict()
  if (!wrong) {
    remember(length, sha256)
    return length
  }
  await cutBack(appending, offset)
  if (source.readableEnded) throw new ChecksumMismatch(wrong)
  return offset
}

async function appendDurably(appending: Appending, alsoHash = (_: Buffer) => {}) {
  const { file, offset, source, signal, sha256, admit, mayWrite, mayFree, cadence } = appending
  const durable = durably(appending)
  let length = offset
  try {
    for await (const batch of batchChunks(source, cadence.ms / 4, signal)) {
      durable.throwIfFailed()
      await admit?.(batch.reduce((sum, chunk) => sum + chunk.length, 0))
      mayWrite?.()
      const writing = writeAll(file, batch, length)
      // Hashed by this thread while another writes.
      for (const chunk of batch) {
        sha256?.update(chunk)
        alsoHash(chunk)
      }
      length += await writing
      if (mayFree) releaseBuffers(batch)
      if (durable.isDue(length)) await durable.begin(length)
    }
  } finally {
    await durable.ended()
  }
  await durable.last(length)
  return length
}

/**
 * Makes durable what was written, while more of it is: one sync after the other, each followed by its commit. What comes while one is
 * under way is for the next; a disk that is slower than the line is waited for.
 */
function durably({ file, placed, offset, sha256, onDurable, remember, cadence }: Appending) {
  let [from, since] = [offset, performance.now()]
  let under: Promise<unknown> = Promise.resolve()
  let failure: { error: unknown } | undefined
  const throwIfFailed = () => {
    if (failure) throw failure.error
  }
  const sync = async (length: number) => {
    const known = sha256?.copy()
    ;[from, since] = [length, performance.now()]
    const durable = Promise.all([file.datasync(), placed])
    await durable.catch(wrapIoError('the bytes could not be made durable'))
    remember(length, known)
  }
  return {
    throwIfFailed,
    isDue: (length: number) =>
      length - from >= cadence.bytes || (length > from && performance.now() - since >= cadence.ms),
    async begin(length: number) {
      await under
      throwIfFailed()
      const told = sync(length).then(() => onDurable?.(length))
      under = told.catch((error) => {
        failure = { error }
      })
    },
    ended: () => under,
    /** Not committed here: what is returned says it. */
    async last(length: number) {
      throwIfFailed()
      await sync(length)
    },
  }
}

async function writeAll(file: FileHandle, batch: Buffer[], position: number) {
  const bytes = batch.reduce((sum, chunk) => sum + chunk.length, 0)
  let { bytesWritten } = await file.writev(batch, position).catch(wrapIoError(unwritten))
  // A disk that is nearly full takes less than it was given; why, it says when asked to take the rest.
  while (bytesWritten < bytes) {
    const rest = Buffer.concat(batch).subarray(bytesWritten)
    const more = await file.writev([rest], position + bytesWritten).catch(wrapIoError(unwritten))
    if (more.bytesWritten === 0) throw new StorageError(unwritten)
    bytesWritten += more.bytesWritten
  }
  return bytes
}
const unwritten = 'the bytes could not be written'

/** Cuts off what lies beyond `offset`. What should lie before it and does not is lost, and zeros would hide that. */
async function cutBack({ file, mayWrite }: Appending, offset: number) {
  const { size } = await file.stat().catch(wrapIoError('the staged bytes could not be looked at'))
  if (size < offset) throw new StorageError(`${offset} bytes should be staged, ${size} are there`)
  mayWrite?.()
  if (size > offset) await file.truncate(offset).catch(wrapIoError('the tail could not be cut off'))
}
