import type { Hash } from 'node:crypto'
import type { FileHandle } from 'node:fs/promises'
import type { Readable } from 'node:stream'
import { StorageError } from '../../errors/availability.ts'
import { ChecksumMismatch } from '../../errors/uploads.ts'
import type { AppendOptions } from '../blob-store.ts'
import { batchChunks } from '../streams/batch-chunks.ts'
import { type Checksum, createChecksumVerifier } from '../streams/checksum.ts'
import { releaseBuffers } from '../streams/release-buffers.ts'
import { wrapIoError } from './errors.ts'

/**
 * The number of bytes, or on a slow connection the time in milliseconds, after which received bytes are
 * synced.
 */
export type SyncInterval = { bytes: number; ms: number }

type Appending = Omit<AppendOptions, 'checksum'> & {
  file: FileHandle
  /** Resolves when the file's directory entry is durable. */
  dirSynced: Promise<unknown>
  offset: number
  source: Readable
  /** The hash state of the bytes before `offset`; undefined if it is not known. */
  sha256: Hash | undefined
  /** Receives each durable length, with the hash state of that many bytes if it is known. */
  remember: (length: number, sha256: Hash | undefined) => void
  syncInterval: SyncInterval
}

/** Implements BlobStore.append on an open file. */
export async function appendToFile(appending: Appending, checksum?: Checksum) {
  await truncateTo(appending, appending.offset)
  let reported = appending.offset
  const onDurable = async (length: number) => {
    reported = length
    await appending.onDurable?.(length)
  }
  const reporting = { ...appending, onDurable }
  try {
    return await (checksum ? appendVerified(reporting, checksum) : appendWithSync(reporting))
  } catch (error) {
    // Truncates bytes that do not count, since they may be what fills the disk. A reported length may count
    // even if `onDurable` failed.
    if (error instanceof StorageError) await truncateTo(appending, reported).catch(() => {})
    throw error
  }
}

/** Reports no offset before the checksum is verified, because an offset never decreases. */
async function appendVerified(appending: Appending, checksum: Checksum) {
  const { offset, source, sha256, remember } = appending
  const check = createChecksumVerifier(checksum)
  const silent = { ...appending, onDurable: undefined, remember: () => {} }
  const length = await appendWithSync(silent, check.update)
  const mismatch = check.mismatch()
  if (!mismatch) {
    remember(length, sha256)
    return length
  }
  await truncateTo(appending, offset)
  if (source.readableEnded) throw new ChecksumMismatch(mismatch)
  return offset
}

async function appendWithSync(appending: Appending, onChunk = (_: Buffer) => {}) {
  const {
    file,
    offset,
    source,
    signal,
    sha256,
    reserveSpace,
    assertWriter,
    transferOwnership,
    syncInterval,
  } = appending
  const syncer = createSyncer(appending)
  let length = offset
  try {
    for await (const batch of batchChunks(source, syncInterval.ms / 4, signal)) {
      syncer.throwIfFailed()
      await reserveSpace?.(batch.reduce((sum, chunk) => sum + chunk.length, 0))
      assertWriter?.()
      const writing = writeAll(file, batch, length)
      // Hashing on this thread overlaps with the write on the thread pool.
      for (const chunk of batch) {
        sha256?.update(chunk)
        onChunk(chunk)
      }
      length += await writing
      if (transferOwnership) releaseBuffers(batch)
      if (syncer.isDue(length)) await syncer.begin(length)
    }
  } finally {
    await syncer.settled()
  }
  await syncer.last(length)
  return length
}

/**
 * Syncs written bytes while later ones are written. Syncs run one after the other, each followed by
 * `onDurable`. If the disk is slower than the network, `begin` waits for the running sync.
 */
function createSyncer({
  file,
  dirSynced,
  offset,
  sha256,
  onDurable,
  remember,
  syncInterval,
}: Appending) {
  let [from, since] = [offset, performance.now()]
  let running: Promise<unknown> = Promise.resolve()
  let failure: { error: unknown } | undefined
  const throwIfFailed = () => {
    if (failure) throw failure.error
  }
  const sync = async (length: number) => {
    const known = sha256?.copy()
    ;[from, since] = [length, performance.now()]
    const durable = Promise.all([file.datasync(), dirSynced])
    await durable.catch(wrapIoError('the bytes could not be synced'))
    remember(length, known)
  }
  return {
    throwIfFailed,
    isDue: (length: number) =>
      length - from >= syncInterval.bytes ||
      (length > from && performance.now() - since >= syncInterval.ms),
    async begin(length: number) {
      await running
      throwIfFailed()
      const reported = sync(length).then(() => onDurable?.(length))
      running = reported.catch((error) => {
        failure = { error }
      })
    },
    settled: () => running,
    /** Does not call `onDurable`: the caller returns the last length. */
    async last(length: number) {
      throwIfFailed()
      await sync(length)
    },
  }
}

async function writeAll(file: FileHandle, batch: Buffer[], position: number) {
  const bytes = batch.reduce((sum, chunk) => sum + chunk.length, 0)
  let { bytesWritten } = await file.writev(batch, position).catch(wrapIoError(WRITE_FAILED))
  // A nearly full disk may write less than requested; writing the rest returns the actual error.
  while (bytesWritten < bytes) {
    const rest = Buffer.concat(batch).subarray(bytesWritten)
    const more = await file.writev([rest], position + bytesWritten).catch(wrapIoError(WRITE_FAILED))
    if (more.bytesWritten === 0) throw new StorageError(WRITE_FAILED)
    bytesWritten += more.bytesWritten
  }
  return bytes
}
const WRITE_FAILED = 'the bytes could not be written'

/**
 * Truncates the file to `offset`. Throws if the file is shorter: bytes are lost, and extending it would hide
 * that with zeros.
 */
async function truncateTo({ file, assertWriter }: Appending, offset: number) {
  const { size } = await file
    .stat()
    .catch(wrapIoError('the size of the staged file could not be read'))
  if (size < offset) throw new StorageError(`expected ${offset} staged bytes, found ${size}`)
  assertWriter?.()
  if (size > offset)
    await file.truncate(offset).catch(wrapIoError('the staged file could not be truncated'))
}
