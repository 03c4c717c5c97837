import { StorageError } from '../errors/availability.ts'
import { createAnnouncedBytes } from './announced-bytes.ts'
import type { BlobStore } from './blob-store.ts'
import type { Volume, VolumeState } from './volume.ts'

export type DiskSpace = {
  /** Reserves space for an upload of `bytes`. Throws StorageError if the disk is full. */
  reserve: (key: string, bytes: number) => Promise<void>
  /** Uses `bytes` of the reserved space. Throws StorageError if the disk is full. */
  consume: (key: string, bytes: number) => Promise<void>
  /** Releases the reservation. */
  release: (key: string) => void
  states: () => Promise<VolumeState[]>
}

/** An upload that is open at server start, with the bytes that it still expects. */
export type OpenUpload = { id: string; missingBytes: number }

/**
 * Keeps a reserve free on each volume: uploads are rejected before the database has no space left for its
 * rows.
 */
export function createDiskSpace(
  volumes: readonly Volume[],
  open: readonly OpenUpload[],
): DiskSpace {
  const announced = createAnnouncedBytes()
  for (const { id, missingBytes } of open) announced.set(id, missingBytes)

  const blobs = volumes.find(({ name }) => name === 'blobs')

  /**
   * Refreshes the free space of every volume; `bytes` is needed on the volume of the blobs. Throws
   * StorageError if a volume has reached its reserve.
   */
  async function refresh(bytes: number) {
    for (const volume of volumes) {
      await volume.refresh(volume === blobs ? bytes : 1)
      if (volume.left() < 1) throw full()
    }
  }

  return {
    async reserve(key, bytes) {
      if (announced.has(key)) return
      await refresh(bytes + announced.totalBytes())
      // No await from here on, so that concurrent callers see each other's reservations.
      if (blobs && blobs.left() - announced.totalBytes() < Math.max(bytes, 1)) throw full(bytes)
      announced.set(key, bytes)
    },
    async consume(key, bytes) {
      await refresh(bytes)
      if (blobs && blobs.left() < bytes) throw full(bytes)
      blobs?.take(bytes)
      announced.subtract(key, bytes)
    },
    release: announced.remove,
    states: () => Promise.all(volumes.map((volume) => volume.state())),
  }
}

function full(bytes = 0) {
  const wanted = bytes === 0 ? 'more bytes' : `${bytes} more bytes`
  const message = `the server's disk has no space for ${wanted}; try again later`
  const cause = Object.assign(new Error('free space is at the reserve'), { code: 'ENOSPC' })
  return new StorageError(message, { isFull: true, cause })
}

/**
 * Wraps a store so that it rejects bytes that would use up the reserve of a disk. Reads, moves and deletions
 * are not affected.
 */
export function withDiskReserve(store: BlobStore, space: DiskSpace): BlobStore {
  return {
    ...store,
    async stage(key, size) {
      await space.reserve(key, size ?? 0)
      await store.stage(key, size)
    },
    async append(key, offset, source, options) {
      // With a bucket, the disk holds only the database: `consume` checks that it is not full.
      if (store.presigned) await space.consume(key, 0)
      const reserveSpace = (bytes: number) => space.consume(key, bytes)
      return store.append(key, offset, source, { ...options, reserveSpace })
    },
    async commit(key) {
      await store.commit(key)
      space.release(key)
    },
    async discard(key) {
      space.release(key)
      await store.discard(key)
    },
  }
}
