import { rename, rm } from 'node:fs/promises'
import { dirname } from 'node:path'
import { fsyncDirectory } from '../../fsync.ts'
import type { Place, Quarantine } from '../blob-store.ts'
import { exists, isMissing, wrapIoError } from './errors.ts'
import { blobsBelow } from './list.ts'
import type { DiskPaths } from './paths.ts'

export type DiskQuarantine = ReturnType<typeof diskQuarantine>

const PLACES: Place[] = ['kept', 'staged']

/**
 * Moves blobs to `<dir>/quarantine/kept/ab/cd/<key>` and `<dir>/quarantine/staged/<key>` by renaming them.
 */
export function diskQuarantine(paths: DiskPaths) {
  const { quarantined } = paths
  const active = { staged: paths.staged, kept: paths.kept }

  async function restore(key: string, place: Place) {
    const to = active[place](key)
    // An existing file has identical bytes, or newer ones of an upload.
    if (await exists(to)) return false
    return move(quarantined(key, place), to)
  }

  async function move(from: string, to: string) {
    if (!(await exists(from))) return false
    await paths.makeDirectory(dirname(to))
    try {
      await rename(from, to)
    } catch (cause) {
      if (isMissing(cause)) return false
      throw cause
    }
    await fsyncDirectory(dirname(to))
    await fsyncDirectory(dirname(from))
    return true
  }

  const contract: Quarantine = {
    async move(key, place) {
      await move(active[place](key), quarantined(key, place)).catch(
        wrapIoError(`${key} could not be moved to quarantine`),
      )
    },
    async restore(key, place) {
      await restore(key, place).catch(wrapIoError(`${key} could not be taken out of quarantine`))
    },
    has: (key, place) => exists(quarantined(key, place)),
    async *list() {
      for (const place of PLACES) {
        const folder = paths.folders.quarantine[place]
        if (!(await exists(folder))) continue
        for await (const { key, size } of blobsBelow(folder)) yield { key, place, size }
      }
    },
    async remove(key, place) {
      await rm(quarantined(key, place), { force: true }).catch(
        wrapIoError(`${key} could not be removed from quarantine`),
      )
    },
  }

  return {
    contract,
    /** Moves a blob that is still needed out of quarantine; returns false if nothing was moved. */
    async rescue(key: string) {
      for (const place of PLACES) if (await restore(key, place)) return true
      return false
    },
    /** Returns the path of a blob in quarantine, or null. */
    async find(key: string) {
      for (const place of PLACES) {
        const path = quarantined(key, place)
        if (await exists(path)) return path
      }
      return null
    },
  }
}
