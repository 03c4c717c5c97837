import { mkdirSync } from 'node:fs'
import { dirname, join, resolve } from 'node:path'
import { inRounds, syncFolder } from '../../durable.ts'
import type { Place } from '../blob-store.ts'
import { requireKey } from '../key.ts'
import { durableFolders } from './folders.ts'

/** Where on the disk a key lives. */
export type DiskPlaces = ReturnType<typeof diskPlaces>

/** Makes the two folders where they are not there yet. */
export function diskPlaces(dir: string) {
  const root = resolve(dir)
  const quarantine = {
    staged: join(root, 'quarantine/staged'),
    kept: join(root, 'quarantine/kept'),
  }
  const folders = { staged: join(root, 'staged'), kept: join(root, 'kept'), quarantine }
  const eldestMade = mkdirSync(folders.staged, { recursive: true })
  mkdirSync(folders.kept, { recursive: true })
  /** By the last characters: keys begin with the time of their making and would all meet in one folder. */
  const fanOut = (folder: string, key: string) =>
    join(folder, requireKey(key).slice(-4, -2), key.slice(-2), key)
  return {
    root,
    folders,
    /** All who have made or moved something there at the same moment share a sync. */
    syncStaged: inRounds(() => syncFolder(folders.staged)),
    makeFolder: durableFolders(dirname(eldestMade ?? root)),
    staged: (key: string) => join(folders.staged, requireKey(key)),
    kept: (key: string) => fanOut(folders.kept, key),
    quarantined: (key: string, place: Place) =>
      place === 'kept' ? fanOut(quarantine.kept, key) : join(quarantine.staged, requireKey(key)),
  }
}
