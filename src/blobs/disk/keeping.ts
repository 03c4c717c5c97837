import { once } from 'node:events'
import { createReadStream } from 'node:fs'
import { rename, rm } from 'node:fs/promises'
import { dirname } from 'node:path'
import { syncFolder } from '../../durable.ts'
import type { BlobStore } from '../blob-store.ts'
import { exists, isMissing, orFault } from './faults.ts'
import { openFiles } from './open-files.ts'
import type { DiskPlaces } from './places.ts'

/** A quarter of a MiB for each read. */
const highWaterMark = 256 * 1024

type Keeping = Pick<BlobStore, 'adopt' | 'open' | 'remove'>

/** The half of the store where bytes stay. */
export function diskKeeping(places: DiskPlaces): Keeping {
  const { kept } = places
  const files = openFiles()
  return {
    async adopt(key) {
      await adopt(places, key).catch(orFault(`${key} could not be adopted`))
    },
    async open(key, range = { start: 0 }) {
      const bytes = createReadStream(kept(key), { ...range, highWaterMark, fs: files })
      await once(bytes, 'open').catch(orFault(`${key} is not kept`))
      return bytes
    },
    async remove(key) {
      await rm(kept(key), { force: true }).catch(orFault(`${key} could not be removed`))
      files.forget(kept(key))
    },
  }
}

/** Rename → both folders durable; the bytes are so since `append` has told of them. Each step may find itself done by an earlier try. */
async function adopt(places: DiskPlaces, key: string) {
  const folder = dirname(places.kept(key))
  await places.makeFolder(folder)
  if (!(await exists(places.kept(key)))) await move(places, key)
  await syncFolder(folder)
  await places.syncStaged()
}

async function move({ staged, kept }: DiskPlaces, key: string) {
  try {
    await rename(staged(key), kept(key))
  } catch (cause) {
    // Whoever adopts the same key at the same moment may have been first.
    if (!isMissing(cause) || !(await exists(kept(key)))) throw cause
  }
}
