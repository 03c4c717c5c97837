import { lstatSync, mkdirSync, opendirSync } from 'node:fs'
import { dirname, join, resolve } from 'node:path'
import { coalesce, fsyncDirectory } from '../../fsync.ts'
import type { Place } from '../blob-store.ts'
import { requireKey } from '../key.ts'
import { createDirectoryMaker } from './folders.ts'

/** The paths of a disk store. */
export type DiskPaths = ReturnType<typeof diskPaths>

/**
 * Returns the paths of the store in `dir`. Creates missing directories unless `isReadOnly`; throws if one
 * cannot be opened.
 */
export function diskPaths(dir: string, { isReadOnly = false } = {}) {
  const root = resolve(dir)
  const quarantine = {
    staged: join(root, 'quarantine/staged'),
    kept: join(root, 'quarantine/kept'),
  }
  const folders = { staged: join(root, 'staged'), kept: join(root, 'kept'), quarantine }
  const firstCreated = isReadOnly ? undefined : makeStoreDirectories(folders)
  for (const folder of [root, folders.staged, folders.kept]) requireDirectory(folder)
  /**
   * Uses the last characters of the key: its first ones are a time stamp, so that recent keys would all share
   * a directory.
   */
  const fanOut = (folder: string, key: string) =>
    join(folder, requireKey(key).slice(-4, -2), key.slice(-2), key)
  return {
    root,
    folders,
    /** Concurrent callers share a sync. */
    syncStaged: coalesce(() => fsyncDirectory(folders.staged)),
    makeDirectory: createDirectoryMaker(dirname(firstCreated ?? root)),
    staged: (key: string) => join(folders.staged, requireKey(key)),
    kept: (key: string) => fanOut(folders.kept, key),
    quarantined: (key: string, place: Place) =>
      place === 'kept' ? fanOut(quarantine.kept, key) : join(quarantine.staged, requireKey(key)),
  }
}

/** Returns the path of the first directory that was created. */
function makeStoreDirectories({ staged, kept }: { staged: string; kept: string }) {
  const firstCreated = mkdirSync(staged, { recursive: true })
  mkdirSync(kept, { recursive: true })
  return firstCreated
}

/**
 * Throws if `path` exists but cannot be opened as a directory, such as a dangling symbolic link. A missing
 * directory counts as empty.
 */
function requireDirectory(path: string) {
  if (lstatSync(path, { throwIfNoEntry: false })) opendirSync(path).closeSync()
}
