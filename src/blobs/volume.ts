import { statfs } from 'node:fs/promises'

/** The volumes that hold data of this server. */
export type VolumeName = 'blobs' | 'database'

export type VolumeState = {
  name: VolumeName
  freeBytes: number
  reserveBytes: number
  /** Whether the free space has reached the reserve. */
  isFull: boolean
}

export type Volume = {
  name: VolumeName
  /**
   * Reads the free space again if the last value is more than a second old or fewer than `bytes` are left.
   */
  refresh: (bytes: number) => Promise<void>
  /** Returns the number of bytes that can be written before the reserve is reached. */
  left: () => number
  /** Subtracts bytes that are about to be written, until the next refresh. */
  take: (bytes: number) => void
  state: () => Promise<VolumeState>
}

type VolumeOptions = {
  name: VolumeName
  /** A file or directory on the volume. */
  path: string
  /** Null: 256 MiB or 1 % of the volume, whichever is less. */
  reserveBytes: number | null
  /** Called when the volume becomes full and when it is no longer full. */
  onChange: (state: VolumeState) => void
}

const MAX_AGE_MS = 1_000
const MAX_RESERVE_BYTES = 256 * 1024 ** 2

/** Monitors the free space of a file system. If the file system does not report it, no space is reserved. */
export function openVolume({ name, path, reserveBytes, onChange }: VolumeOptions): Volume {
  let state: VolumeState = { name, freeBytes: Infinity, reserveBytes: 0, isFull: false }
  let readAt = -Infinity
  let reading: Promise<void> | undefined

  async function read() {
    const wasFull = state.isFull
    state = await measure(name, path, reserveBytes)
    readAt = performance.now()
    if (state.isFull !== wasFull) onChange(state)
  }

  /** Shares one read between concurrent callers. */
  function readOnce() {
    reading ??= read().finally(() => {
      reading = undefined
    })
    return reading
  }

  const isOld = () => performance.now() - readAt > MAX_AGE_MS
  const left = () => state.freeBytes - state.reserveBytes
  return {
    name,
    async refresh(bytes) {
      if (isOld() || left() < bytes) await readOnce()
    },
    left,
    take(bytes) {
      state = { ...state, freeBytes: state.freeBytes - bytes }
    },
    async state() {
      if (isOld()) await readOnce()
      return state
    },
  }
}

async function measure(
  name: VolumeName,
  path: string,
  reserveOption: number | null,
): Promise<VolumeState> {
  const { bavail, blocks, bsize } = await statfs(path).catch(() => unknownVolume)
  // Some network file systems do not report their size.
  if (blocks === 0) return { name, freeBytes: Infinity, reserveBytes: 0, isFull: false }
  const freeBytes = bavail * bsize
  const reserveBytes =
    reserveOption ?? Math.min(MAX_RESERVE_BYTES, Math.floor((blocks * bsize) / 100))
  return { name, freeBytes, reserveBytes, isFull: freeBytes <= reserveBytes }
}
const unknownVolume = { bavail: 0, blocks: 0, bsize: 0 }
