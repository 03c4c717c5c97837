import { StorageError } from '../errors.ts'
import { createAnnouncedBytes } from './announced-bytes.ts'
import type { BlobStore } from './blob-store.ts'
import type { Volume, VolumeState } from './volume.ts'

export type DiskSpace = {
  /** Lets an upload of `bytes` begin, and holds room for them back from others. Throws StorageError. */
  announce: (key: string, bytes: number) => Promise<void>
  /** Lets `bytes` of it be written. Throws StorageError. */
  consume: (key: string, bytes: number) => Promise<void>
  /** No more will come of it. */
  forget: (key: string) => void
  states: () => Promise<VolumeState[]>
}

/** Announced bytes of uploads that are open when the server starts. */
export type OpenUpload = { id: string; missingBytes: number }

/** Keeps a reserve free on each volume: bytes are refused at it, so that rows can still be written. */
export function openDiskSpace(volumes: readonly Volume[], open: readonly OpenUpload[]): DiskSpace {
  const announced = createAnnouncedBytes()
  for (const { id, missingBytes } of open) announced.set(id, missingBytes)

  const blobs = volumes.find(({ name }) => name === 'blobs')

  /** Of every volume at least a byte must be left; of that of the blobs as many as are wanted. */
  async function refresh(bytes: number) {
    for (const volume of volumes) {
      await volume.refresh(volume === blobs ? bytes : 1)
      if (volume.left() < 1) throw full()
    }
  }

  return {
    async announce(key, bytes) {
      if (announced.has(key)) return
      await refresh(bytes + announced.totalBytes())
      // From here on nothing is awaited: of those that ask at the same moment each counts the others.
      if (blobs && blobs.left() - announced.totalBytes() < Math.max(bytes, 1)) throw full(bytes)
      announced.set(key, bytes)
    },
    async consume(key, bytes) {
      await refresh(bytes)
      if (blobs && blobs.left() < bytes) throw full(bytes)
      blobs?.take(bytes)
      announced.subtract(key, bytes)
    },
    forget: announced.remove,
    states: () => Promise.all(volumes.map((volume) => volume.state())),
  }
}

function full(bytes = 0) {
  const wanted = bytes === 0 ? 'more bytes' : `${bytes} more bytes`
  const message = `the server's disk has no room for ${wanted}: try again when there is some`
  const cause = Object.assign(new Error('the reserve is reached'), { code: 'ENOSPC' })
  return new StorageError(message, { isFull: true, cause })
}

/** The same store, which takes no bytes that would use up the reserve of a disk. What is there is read, moved and removed as ever. */
export function reservingBlobs(store: BlobStore, space: DiskSpace): BlobStore {
  return {
    ...store,
    async stage(key, size) {
      await space.announce(key, size ?? 0)
      await store.stage(key, size)
    },
    async append(key, offset, source, options) {
      // A bucket takes the bytes; what is left of the disk is for the rows.
      if (store.direct) await space.consume(key, 0)
      const admit = (bytes: number) => space.consume(key, bytes)
      return store.append(key, offset, source, { ...options, admit })
    },
    async adopt(key) {
      await store.adopt(key)
      space.forget(key)
    },
    async discard(key) {
      space.forget(key)
      await store.discard(key)
    },
  }
}
