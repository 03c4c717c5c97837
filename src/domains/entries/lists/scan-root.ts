import type { Db } from '../../../database/database.ts'
import { type FolderRow, liveFolder } from '../reads.ts'
import { type EntryFilter, prefixesOf } from './filters.ts'

/**
 * Returns the smallest live folder that contains every match of a filter, as far as its path conditions show.
 * Returns null if nothing can match, and undefined if matches may be anywhere in the workspace.
 */
export async function findScanRoot(
  db: Db,
  workspaceId: string,
  filter: EntryFilter,
): Promise<FolderRow | null | undefined> {
  const { within } = filter
  const candidates = within && within.trashRootId === null ? [within] : []
  for (const prefix of prefixesOf(filter)) {
    const pathKey = prefix.slice(0, prefix.lastIndexOf('/') + 1)
    const folder = pathKey === '' ? undefined : await liveFolder(db, workspaceId, pathKey)
    if (folder === null) return null
    if (folder) candidates.push(folder)
  }
  return candidates
    .filter(({ pathKey }) => pathKey !== '')
    .sort((a, b) => subtreeSize(a) - subtreeSize(b))[0]
}

/** Returns the number of entries below a folder. */
export const subtreeSize = ({ fileCount, folderCount }: FolderRow) => fileCount + folderCount
