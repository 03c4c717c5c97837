import { mkdirSync } from 'node:fs'
import { dirname, join, resolve } from 'node:path'
import { inRounds, syncFolder } from '../../durable.ts'
import { requireKey } from '../key.ts'
import { durableFolders } from './folders.ts'

/** Where on the disk a key lives. */
export type DiskPlaces = ReturnType<typeof diskPlaces>

/** Makes the two folders where they are not there yet. */
export function diskPlaces(dir: string) {
  const folders = { staged: resolve(dir, 'staged'), kept: resolve(dir, 'kept') }
  const eldestMade = mkdirSync(folders.staged, { recursive: true })
  mkdirSync(folders.kept, { recursive: true })
  return {
    folders,
    /** All who have made or moved something there at the same moment share a sync. */
    syncStaged: inRounds(() => syncFolder(folders.staged)),
    makeFolder: durableFolders(dirname(eldestMade ?? resolve(dir))),
    staged: (key: string) => join(folders.staged, requireKey(key)),
    /** By the last characters: keys begin with the time of their making and would all meet in one folder. */
    kept: (key: string) => join(folders.kept, requireKey(key).slice(-4, -2), key.slice(-2), key),
  }
}
