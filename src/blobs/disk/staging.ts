import { constants } from 'node:fs'
import { type FileHandle, open, rm } from 'node:fs/promises'
import { createSingleFlight } from '../../concurrency/single-flight.ts'
import type { BlobStore } from '../blob-store.ts'
import { requireKey } from '../key.ts'
import { createRunningHashes } from '../streams/running-hash.ts'
import { appendToFile, type SyncInterval } from './append.ts'
import type { DiskContext } from './committed.ts'
import { exists, isMissing, nullIfMissing, wrapIoError } from './errors.ts'
import { hashFile } from './hash.ts'
import type { DiskPaths } from './paths.ts'

type Staging = Pick<
  BlobStore,
  'stage' | 'append' | 'sha256' | 'peek' | 'invalidateCache' | 'discard'
>

/** Creates the half of the store that receives uploads. */
export function diskStaging(ctx: DiskContext, syncInterval: SyncInterval): Staging {
  const { paths } = ctx
  const hashes = createRunningHashes()
  const hashOnce = createSingleFlight<string>()
  return {
    async stage(key, size) {
      // An upload with bytes creates its file in the first `append`.
      if (!size) await stage(paths, key).catch(wrapIoError(`${key} could not be staged`))
    },
    async append(key, offset, source, { checksum, ...options } = {}) {
      // The source may break while the file is being opened; the reader detects that later.
      source.on('error', () => {})
      const { file, dirSynced } = await openStaged(ctx, key, offset)
      const sha256 = hashes.at(key, offset)
      // A hash state that does not match the offset is stale.
      if (!sha256) hashes.delete(key)
      const remember = (length: number, known = sha256) => known && hashes.set(key, length, known)
      const appending = {
        ...options,
        file,
        dirSynced,
        offset,
        source,
        sha256,
        remember,
        syncInterval,
      }
      return appendToFile(appending, checksum).finally(() => file.close())
    },
    async sha256(key, size) {
      const running = hashes.at(requireKey(key), size)
      if (running) return running.digest('hex')
      return hashOnce(`${key} ${size}`, () => readBlob(ctx, key, (file) => hashFile(file, size)))
    },
    peek: (key, length) => readBlob(ctx, key, (file) => readHead(file, length)),
    invalidateCache: (key) => hashes.delete(key),
    async discard(key) {
      hashes.delete(key)
      await rm(paths.staged(key), { force: true }).catch(
        wrapIoError(`${key} could not be discarded`),
      )
    },
  }
}

/**
 * Opens the staged file. `dirSynced` resolves when its directory entry is durable; the first append may
 * create the file.
 */
async function openStaged({ paths, quarantine }: DiskContext, key: string, offset: number) {
  if (offset === 0) await paths.makeDirectory(paths.folders.staged)
  const flags = constants.O_RDWR | (offset === 0 ? constants.O_CREAT : 0)
  const file = await open(paths.staged(key), flags)
    .catch(async (cause) => {
      if (!isMissing(cause) || !(await quarantine.rescue(key))) throw cause
      return open(paths.staged(key), flags)
    })
    .catch(wrapIoError(`${key} is not staged`))
  const dirSynced = offset === 0 ? paths.syncStaged() : Promise.resolve()
  // The caller that awaits it gets the error; this only prevents an unhandled rejection.
  dirSynced.catch(() => {})
  return { file, dirSynced }
}

/** Creates an empty staged file. Does nothing if the key is already committed: a key must not be both. */
async function stage(paths: DiskPaths, key: string) {
  const { folders, makeDirectory, staged, kept } = paths
  if (await exists(kept(key))) return
  await makeDirectory(folders.staged)
  const file = await open(staged(key), 'a')
  await file.close()
  await paths.syncStaged()
}

/**
 * Reads a key that is staged, committed or in quarantine: a repeated confirm finds its bytes already
 * committed.
 */
async function readBlob<T>(
  { paths: { staged, kept }, quarantine }: DiskContext,
  key: string,
  read: (file: FileHandle) => Promise<T>,
) {
  const openActive = async () =>
    (await open(staged(key)).catch(nullIfMissing)) ?? (await open(kept(key)).catch(nullIfMissing))
  const openQuarantined = async () => open((await quarantine.find(key)) ?? kept(key))
  const file = await openActive()
    .then((found) => found ?? openQuarantined())
    .catch(wrapIoError(`${key} does not exist`))
  return read(file)
    .finally(() => file.close())
    .catch(wrapIoError(`${key} could not be read`))
}

async function readHead(file: FileHandle, length: number) {
  const { buffer, bytesRead } = await file.read(Buffer.alloc(length), 0, length, 0)
  return buffer.subarray(0, bytesRead)
}
