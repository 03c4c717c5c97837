import { rename, rm } from 'node:fs/promises'
import { dirname } from 'node:path'
import { fsyncDirectory } from '../../fsync.ts'
import type { Place, Quarantine } from '../blob-store.ts'
import { exists, isMissing, wrapIoError } from './errors.ts'
import { blobsBelow } from './list.ts'
import type { DiskPaths } from './paths.ts'

export type DiskQuarantine = ReturnType<typeof diskQuarantine>

const all: Place[] = ['kept', 'staged']

/** Objects in quarantine lie in `<dir>/quarantine/kept/ab/cd/<key>` and `<dir>/quarantine/staged/<key>`: a rename away. */
export function diskQuarantine(places: DiskPaths) {
  const { quarantined } = places
  const lies = { staged: places.staged, kept: places.kept }

  async function takeBack(key: string, place: Place) {
    const to = lies[place](key)
    // What lies there already is the same bytes, or newer ones of an upload.
    if (await exists(to)) return false
    return move(quarantined(key, place), to)
  }

  async function move(from: string, to: string) {
    if (!(await exists(from))) return false
    await places.makeFolder(dirname(to))
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
      await move(lies[place](key), quarantined(key, place)).catch(
        wrapIoError(`${key} could not be moved to quarantine`),
      )
    },
    async takeBack(key, place) {
      await takeBack(key, place).catch(wrapIoError(`${key} could not be taken out of quarantine`))
    },
    has: (key, place) => exists(quarantined(key, place)),
    async *list() {
      for (const place of all) {
        const folder = places.folders.quarantine[place]
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
    /** Puts back what is needed after all, wherever it lay; false where it is not in quarantine. */
    async rescue(key: string) {
      for (const place of all) if (await takeBack(key, place)) return true
      return false
    },
    /** The path of an object in quarantine, or null. */
    async find(key: string) {
      for (const place of all) {
        const path = quarantined(key, place)
        if (await exists(path)) return path
      }
      return null
    },
  }
}
