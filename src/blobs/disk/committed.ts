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

const readPiece = promisify(read)

/** A quarter of a MiB for each read. */
const highWaterMark = 256 * 1024

type Keeping = Pick<BlobStore, 'adopt' | 'open' | 'openStamped' | 'remove'>

type ReadOptions = { start: number; end?: number; autoClose?: boolean }

/** What both halves of the store work with. */
export type DiskContext = { places: DiskPaths; quarantine: DiskQuarantine; isReadOnly: boolean }

/** The half of the store where bytes stay. */
export function diskCommitted({ places, quarantine, isReadOnly }: DiskContext): Keeping {
  const { kept } = places
  const files = createFdCache()

  async function openAt(path: string, options: ReadOptions) {
    const bytes = createReadStream(path, { ...options, highWaterMark, fs: files })
    await once(bytes, 'open')
    return bytes
  }

  /** What is needed was put aside by mistake: it goes back. */
  async function openElsewhere(key: string, options: ReadOptions) {
    if (!isReadOnly) await quarantine.rescue(key)
    return openAt((isReadOnly && (await quarantine.find(key))) || kept(key), options)
  }

  const openKey = (key: string, options: ReadOptions) =>
    openAt(kept(key), options)
      .catch((cause) => {
        if (!isMissing(cause)) throw cause
        return openElsewhere(key, options)
      })
      .catch(wrapIoError(`${key} is not kept`))

  return {
    async adopt(key) {
      await adopt(places, quarantine, key).catch(wrapIoError(`${key} could not be adopted`))
    },
    async open(key, range = { start: 0 }) {
      return openKey(key, range)
    },
    async openStamped(key, range = { start: 0 }) {
      const bytes = await openKey(key, { ...range, autoClose: false })
      const { fd } = bytes as unknown as { fd: number }
      return {
        bytes,
        stamp: () => stampOf(fd).catch(wrapIoError(`${key} has no stamp`)),
        hash: (size) => hashUpTo(fd, size).catch(wrapIoError(`${key} could not be read`)),
      }
    },
    async remove(key) {
      await rm(kept(key), { force: true }).catch(wrapIoError(`${key} could not be removed`))
      files.forget(kept(key))
    },
  }
}

/**
 * Of the file that is open, whatever its path leads to by now. The kernel sets ctime at every change of
 * bytes, times, names or rights; no call sets it to a time of one's choice.
 */
async function stampOf(fd: number) {
  // Synchronous, as it takes microseconds: through the thread pool ranges of 64 KiB took half as long again.
  const { ino, size, mtimeNs, ctimeNs } = fstatSync(fd, { bigint: true })
  return { id: [ino, size, mtimeNs, ctimeNs].join(':'), changedAt: Number(ctimeNs / 1_000_000n) }
}

async function hashUpTo(fd: number, size: number) {
  const hash = createHash('sha256')
  const piece = Buffer.allocUnsafe(Math.min(highWaterMark, Math.max(size, 1)))
  let offset = 0
  while (offset < size) {
    const length = Math.min(piece.length, size - offset)
    const { bytesRead } = await readPiece(fd, piece, 0, length, offset)
    if (bytesRead === 0) break
    hash.update(piece.subarray(0, bytesRead))
    offset += bytesRead
  }
  return { size: offset, sha256: hash.digest('hex') }
}

/** Rename → both folders durable; the bytes are so since `append` has told of them. Each step may find itself done by an earlier try. */
async function adopt(places: DiskPaths, quarantine: DiskQuarantine, key: string) {
  const folder = dirname(places.kept(key))
  await places.makeFolder(folder)
  if (!(await exists(places.kept(key)))) await move(places, quarantine, key)
  await fsyncDirectory(folder)
  await places.syncStaged()
}

async function move({ staged, kept }: DiskPaths, quarantine: DiskQuarantine, key: string) {
  try {
    await rename(staged(key), kept(key))
  } catch (cause) {
    if (!isMissing(cause)) throw cause
    // Another request that adopts the same key may have been first.
    if (await exists(kept(key))) return
    if (!(await quarantine.rescue(key))) throw cause
    if (!(await exists(kept(key)))) await rename(staged(key), kept(key))
  }
}
