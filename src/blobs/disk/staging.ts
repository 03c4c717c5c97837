import { constants } from 'node:fs'
import { type FileHandle, open, rm } from 'node:fs/promises'
import { createSingleFlight } from '../../concurrency/single-flight.ts'
import type { BlobStore } from '../blob-store.ts'
import { requireKey } from '../key.ts'
import { runningHashes } from '../streams/running-hash.ts'
import { appendToFile, type SyncInterval } from './append.ts'
import type { DiskContext } from './committed.ts'
import { exists, isMissing, nullIfMissing, wrapIoError } from './errors.ts'
import { hashFile } from './hash.ts'
import type { DiskPaths } from './paths.ts'

type Staging = Pick<BlobStore, 'stage' | 'append' | 'sha256' | 'peek' | 'distrust' | 'discard'>

/** The half of the store where bytes arrive. */
export function diskStaging(parts: DiskContext, cadence: SyncInterval): Staging {
  const { places } = parts
  const hashes = runningHashes()
  const rereading = createSingleFlight<string>()
  return {
    async stage(key, size) {
      // With the first byte its place is made, and made durable.
      if (!size) await stage(places, key).catch(wrapIoError(`${key} could not be staged`))
    },
    async append(key, offset, source, { checksum, ...options } = {}) {
      // It may break while the file is being opened; whoever reads it then sees that it did.
      source.on('error', () => {})
      const { file, placed } = await openStaged(parts, key, offset)
      const sha256 = hashes.at(key, offset)
      // A state of bytes that nobody counted must not be taken for that of the bytes that come now.
      if (!sha256) hashes.drop(key)
      const remember = (length: number, known = sha256) => known && hashes.keep(key, length, known)
      const appending = { ...options, file, placed, offset, source, sha256, remember, cadence }
      return appendToFile(appending, checksum).finally(() => file.close())
    },
    async sha256(key, size) {
      const running = hashes.at(requireKey(key), size)
      if (running) return running.digest('hex')
      return rereading(`${key} ${size}`, () => reading(parts, key, (file) => hashFile(file, size)))
    },
    peek: (key, length) => reading(parts, key, (file) => head(file, length)),
    distrust: (key) => hashes.drop(key),
    async discard(key) {
      hashes.drop(key)
      await rm(places.staged(key), { force: true }).catch(
        wrapIoError(`${key} could not be discarded`),
      )
    },
  }
}

/** `placed` is when the file is sure to be found again: that of the first bytes may not have been there. */
async function openStaged({ places, quarantine }: DiskContext, key: string, offset: number) {
  if (offset === 0) await places.makeFolder(places.folders.staged)
  const flags = constants.O_RDWR | (offset === 0 ? constants.O_CREAT : 0)
  const file = await open(places.staged(key), flags)
    .catch(async (cause) => {
      if (!isMissing(cause) || !(await quarantine.rescue(key))) throw cause
      return open(places.staged(key), flags)
    })
    .catch(wrapIoError(`${key} is not staged`))
  const placed = offset === 0 ? places.syncStaged() : Promise.resolve()
  // Whoever asks for it hears of it.
  placed.catch(() => {})
  return { file, placed }
}

/** A key that is kept already stays as it is: an empty file beside it could only do harm. */
async function stage(places: DiskPaths, key: string) {
  const { folders, makeFolder, staged, kept } = places
  if (await exists(kept(key))) return
  await makeFolder(folders.staged)
  const file = await open(staged(key), 'a')
  await file.close()
  await places.syncStaged()
}

/** Reads a key wherever it lives: a confirm that is repeated finds its bytes among the kept. */
async function reading<T>(
  { places: { staged, kept }, quarantine }: DiskContext,
  key: string,
  read: (file: FileHandle) => Promise<T>,
) {
  const inPlace = async () =>
    (await open(staged(key)).catch(nullIfMissing)) ?? (await open(kept(key)).catch(nullIfMissing))
  const elsewhere = async () => open((await quarantine.find(key)) ?? kept(key))
  const file = await inPlace()
    .then((found) => found ?? elsewhere())
    .catch(wrapIoError(`${key} is not there`))
  return read(file)
    .finally(() => file.close())
    .catch(wrapIoError(`${key} could not be read`))
}

async function head(file: FileHandle, length: number) {
  const { buffer, bytesRead } = await file.read(Buffer.alloc(length), 0, length, 0)
  return buffer.subarray(0, bytesRead)
}
