import { lstatSync, mkdirSync, opendirSync } from 'node:fs'
import { dirname, join, resolve } from 'node:path'
import { coalesce, fsyncDirectory } from '../../fsync.ts'
import type { Place } from '../blob-store.ts'
import { requireKey } from '../key.ts'
import { durableFolders } from './folders.ts'

/** Where on the disk a key lives. */
export type DiskPaths = ReturnType<typeof diskPaths>

/** Makes the two folders where they do not exist yet; with `isReadOnly` none is made. Throws where one cannot be opened. */
export function diskPaths(dir: string, { isReadOnly = false } = {}) {
  const root = resolve(dir)
  const quarantine = {
    staged: join(root, 'quarantine/staged'),
    kept: join(root, 'quarantine/kept'),
  }
  const folders = { staged: join(root, 'staged'), kept: join(root, 'kept'), quarantine }
  const eldestMade = isReadOnly ? undefined : makeFolders(folders)
  for (const folder of [root, folders.staged, folders.kept]) requireFolder(folder)
  /** By the last characters: keys begin with the time of their making and would all meet in one folder. */
  const fanOut = (folder: string, key: string) =>
    join(folder, requireKey(key).slice(-4, -2), key.slice(-2), key)
  return {
    root,
    folders,
    /** All who have made or moved something there at the same moment share a sync. */
    syncStaged: coalesce(() => fsyncDirectory(folders.staged)),
    makeFolder: durableFolders(dirname(eldestMade ?? root)),
    staged: (key: string) => join(folders.staged, requireKey(key)),
    kept: (key: string) => fanOut(folders.kept, key),
    quarantined: (key: string, place: Place) =>
      place === 'kept' ? fanOut(quarantine.kept, key) : join(quarantine.staged, requireKey(key)),
  }
}

/** The path of the first folder that did not exist. */
function makeFolders({ staged, kept }: { staged: string; kept: string }) {
  const eldestMade = mkdirSync(staged, { recursive: true })
  mkdirSync(kept, { recursive: true })
  return eldestMade
}

/** What does not exist holds nothing; a link that leads nowhere hides what it should lead to. */
function requireFolder(path: string) {
  if (lstatSync(path, { throwIfNoEntry: false })) opendirSync(path).closeSync()
}
