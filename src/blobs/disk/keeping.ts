import { once } from 'node:events'
import { createReadStream } from 'node:fs'
import { rename, rm } from 'node:fs/promises'
import { dirname } from 'node:path'
import { syncFolder } from '../../durable.ts'
import type { BlobStore } from '../blob-store.ts'
import { exists, isMissing, orFault } from './faults.ts'
import { openFiles } from './open-files.ts'
import type { DiskPlaces } from './places.ts'
import type { DiskQuarantine } from './quarantine.ts'

/** A quarter of a MiB for each read. */
const highWaterMark = 256 * 1024

type Keeping = Pick<BlobStore, 'adopt' | 'open' | 'remove'>

/** What both halves of the store work with. */
export type DiskParts = { places: DiskPlaces; quarantine: DiskQuarantine; isReadOnly: boolean }

/** The half of the store where bytes stay. */
export function diskKeeping({ places, quarantine, isReadOnly }: DiskParts): Keeping {
  const { kept } = places
  const files = openFiles()

  async function openAt(path: string, range: { start: number; end?: number }) {
    const bytes = createReadStream(path, { ...range, highWaterMark, fs: files })
    await once(bytes, 'open')
    return bytes
  }

  /** What is needed was put aside by mistake: it goes back. */
  async function openElsewhere(key: string, range: { start: number; end?: number }) {
    if (!isReadOnly) await quarantine.rescue(key)
    return openAt((isReadOnly && (await quarantine.find(key))) || kept(key), range)
  }

  return {
    async adopt(key) {
      await adopt(places, quarantine, key).catch(orFault(`${key} could not be adopted`))
    },
    async open(key, range = { start: 0 }) {
      return openAt(kept(key), range)
        .catch((cause) => {
          if (!isMissing(cause)) throw cause
          return openElsewhere(key, range)
        })
        .catch(orFault(`${key} is not kept`))
    },
    async remove(key) {
      await rm(kept(key), { force: true }).catch(orFault(`${key} could not be removed`))
      files.forget(kept(key))
    },
  }
}

/** Rename → both folders durable; the bytes are so since `append` has told of them. Each step may find itself done by an earlier try. */
async function adopt(places: DiskPlaces, quarantine: DiskQuarantine, key: string) {
  const folder = dirname(places.kept(key))
  await places.makeFolder(folder)
  if (!(await exists(places.kept(key)))) await move(places, quarantine, key)
  await syncFolder(folder)
  await places.syncStaged()
}

async function move({ staged, kept }: DiskPlaces, quarantine: DiskQuarantine, key: string) {
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
