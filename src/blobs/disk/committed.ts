import { createHash } from 'node:crypto'
import { once } from 'node:events'
import { createReadStream, fstatSync, read } from 'node:fs'
import { rename, rm } from 'node:fs/promises'
import { dirname } from 'node:path'
import { promisify } from 'node:util'
import { fsyncDirectory } from '../../fsync.ts'
import type { BlobStore } from '../blob-store.ts'
import { exists, isMissing, wrapIoError } from './errors.ts'
import { createFdCache } from './fd-cache.ts'
import type { DiskPaths } from './paths.ts'
import type { DiskQuarantine } from './quarantine.ts'

const readAsync = promisify(read)

/** Size of each read in bytes. */
const READ_BYTES = 256 * 1024

type Committed = Pick<BlobStore, 'commit' | 'open' | 'openStamped' | 'remove'>

type ReadOptions = { start: number; end?: number; autoClose?: boolean }

/** The context of both halves of the store: staged and committed keys. */
export type DiskContext = { paths: DiskPaths; quarantine: DiskQuarantine; isReadOnly: boolean }

/** Creates the half of the store that holds committed blobs. */
export function diskCommitted({ paths, quarantine, isReadOnly }: DiskContext): Committed {
  const { kept } = paths
  const files = createFdCache()

  async function openAt(path: string, options: ReadOptions) {
    const bytes = createReadStream(path, { ...options, highWaterMark: READ_BYTES, fs: files })
    await once(bytes, 'open')
    return bytes
  }

  /**
   * Takes the blob out of quarantine, because it is still needed, or reads it there if the store is
   * read-only.
   */
  async function openQuarantined(key: string, options: ReadOptions) {
    if (!isReadOnly) await quarantine.rescue(key)
    return openAt((isReadOnly && (await quarantine.find(key))) || kept(key), options)
  }

  const openKey = (key: string, options: ReadOptions) =>
    openAt(kept(key), options)
      .catch((cause) => {
        if (!isMissing(cause)) throw cause
        return openQuarantined(key, options)
      })
      .catch(wrapIoError(`${key} is not committed`))

  return {
    async commit(key) {
      await commit(paths, quarantine, key).catch(wrapIoError(`${key} could not be committed`))
    },
    async open(key, range = { start: 0 }) {
      return openKey(key, range)
    },
    async openStamped(key, range = { start: 0 }) {
      const bytes = await openKey(key, { ...range, autoClose: false })
      const { fd } = bytes as unknown as { fd: number }
      return {
        bytes,
        stamp: () => stampOf(fd).catch(wrapIoError(`${key} has no readable stamp`)),
        hash: (size) => hashUpTo(fd, size).catch(wrapIoError(`${key} could not be read`)),
      }
    },
    async remove(key) {
      await rm(kept(key), { force: true }).catch(wrapIoError(`${key} could not be removed`))
      files.evict(kept(key))
    },
  }
}

/**
 * Returns the stamp of the open file, whatever its path refers to by now. The kernel sets ctime on every
 * change of content or metadata, and no system call can set it to a chosen time.
 */
async function stampOf(fd: number) {
  // Synchronous, because it takes only microseconds: through the thread pool, reads of 64 KiB took 50 %
  // longer.
  const { ino, size, mtimeNs, ctimeNs } = fstatSync(fd, { bigint: true })
  return { id: [ino, size, mtimeNs, ctimeNs].join(':'), changedAt: Number(ctimeNs / 1_000_000n) }
}

async function hashUpTo(fd: number, size: number) {
  const hash = createHash('sha256')
  const buffer = Buffer.allocUnsafe(Math.min(READ_BYTES, Math.max(size, 1)))
  let offset = 0
  while (offset < size) {
    const length = Math.min(buffer.length, size - offset)
    const { bytesRead } = await readAsync(fd, buffer, 0, length, offset)
    if (bytesRead === 0) break
    hash.update(buffer.subarray(0, bytesRead))
    offset += bytesRead
  }
  return { size: offset, sha256: hash.digest('hex') }
}

/**
 * Renames the file and syncs both directories; `append` has already synced the bytes. Each step may have been
 * done by an earlier attempt.
 */
async function commit(paths: DiskPaths, quarantine: DiskQuarantine, key: string) {
  const directory = dirname(paths.kept(key))
  await paths.makeDirectory(directory)
  if (!(await exists(paths.kept(key)))) await move(paths, quarantine, key)
  await fsyncDirectory(directory)
  await paths.syncStaged()
}

async function move({ staged, kept }: DiskPaths, quarantine: DiskQuarantine, key: string) {
  try {
    await rename(staged(key), kept(key))
  } catch (cause) {
    if (!isMissing(cause)) throw cause
    // A concurrent request may have committed the same key.
    if (await exists(kept(key))) return
    if (!(await quarantine.rescue(key))) throw cause
    if (!(await exists(kept(key)))) await rename(staged(key), kept(key))
  }
}
