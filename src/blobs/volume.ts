import { statfs } from 'node:fs/promises'

/** What holds bytes of this server on a local file system. */
export type VolumeName = 'blobs' | 'database'

export type VolumeState = {
  name: VolumeName
  freeBytes: number
  reserveBytes: number
  /** Whether no more than the reserve is free. */
  isFull: boolean
}

export type Volume = {
  name: VolumeName
  /** Asks the file system, where that was more than a second ago, or where fewer than `bytes` were left. */
  refresh: (bytes: number) => Promise<void>
  /** Bytes that may be written before the reserve is reached. */
  left: () => number
  /** Counts bytes that are about to be written, until the file system counts them itself. */
  take: (bytes: number) => void
  state: () => Promise<VolumeState>
}

type VolumeOptions = {
  name: VolumeName
  /** A file or folder on it. */
  path: string
  /** Null: 256 MiB or 1 % of it, whichever is less. */
  reserveBytes: number | null
  /** Is told when it becomes full, and when it is not any more. */
  onChange: (state: VolumeState) => void
}

const MAX_AGE_MS = 1_000
const MAX_RESERVE_BYTES = 256 * 1024 ** 2

/** Watches how much is free on a file system. Where it does not say, nothing is held back. */
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

  /** One for all who ask at the same moment. */
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
  wantedReserve: number | null,
): Promise<VolumeState> {
  const { bavail, blocks, bsize } = await statfs(path).catch(() => unknownVolume)
  // Some network file systems do not know their own size.
  if (blocks === 0) return { name, freeBytes: Infinity, reserveBytes: 0, isFull: false }
  const freeBytes = bavail * bsize
  const reserveBytes =
    wantedReserve ?? Math.min(MAX_RESERVE_BYTES, Math.floor((blocks * bsize) / 100))
  return { name, freeBytes, reserveBytes, isFull: freeBytes <= reserveBytes }
}
const unknownVolume = { bavail: 0, blocks: 0, bsize: 0 }
