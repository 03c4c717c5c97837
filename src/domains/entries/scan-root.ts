import type { Db } from '../../database/database.ts'
import { foldName } from '../../names.ts'
import type { EntryFilter } from './filters.ts'
import { type EntryRow, liveFolder } from './reads.ts'

/**
 * The smallest living folder below which all lies that a filter lets through, as far as its paths tell; null where there can be
 * nothing, undefined where it may be anywhere in the workspace.
 */
export async function startOf(
  db: Db,
  workspaceId: string,
  { within, pathPrefix, patterns = [] }: EntryFilter,
): Promise<EntryRow | null | undefined> {
  const starts = within && within.trashRootId === null ? [within] : []
  const prefixes = [foldName(pathPrefix ?? ''), ...patterns.map(({ prefix }) => prefix)]
  for (const prefix of prefixes) {
    const pathKey = prefix.slice(0, prefix.lastIndexOf('/') + 1)
    const folder = pathKey === '' ? undefined : await liveFolder(db, workspaceId, pathKey)
    if (folder === null) return null
    if (folder) starts.push(folder)
  }
  return starts
    .filter(({ pathKey }) => pathKey !== '')
    .sort((a, b) => subtreeSize(a) - subtreeSize(b))[0]
}

/** How many entries lie below a folder. */
export const subtreeSize = ({ fileCount, folderCount }: EntryRow) => fileCount + folderCount
