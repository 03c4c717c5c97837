import type { TxContext } from '../../../context.ts'
import { NotFound } from '../../../errors/access.ts'
import { InvalidState, NameConflict } from '../../../errors/entries.ts'
import { byteLength } from '../../../names.ts'
import { checkDepth } from '../../entries/paths.ts'
import {
  childByKey,
  type EntryRow,
  type FileRow,
  type FolderRow,
  liveFolder,
  requireLive,
  requireLiveFolder,
} from '../../entries/reads.ts'
import {
  checkPath,
  checkPathLength,
  childPath,
  depthOf,
  type EntryName,
  numberedName,
} from '../../entries/rules.ts'
import { toWrite } from '../../entries/writes.ts'
import { checkMarks } from '../../tags/rules.ts'

/** The target of a file: an existing folder, and the names of the folders below it that may not exist yet. */
export type Target = { folder: FolderRow; below: EntryName[] }
type Place = { workspaceId: string; folderId: string | null; path: string }

/**
 * Returns the target of a file. Throws NotFound, Forbidden, InvalidInput, and InvalidState if the folder is
 * in the trash or is a file.
 */
export async function requireTarget(s: TxContext, place: Place): Promise<Target> {
  const { workspaceId, folderId, path } = place
  const ref = folderId ? { id: folderId } : { path: { workspaceId, path: '' } }
  const { entry: folder } = await requireLiveFolder(s.tx, s.viewer, ref, toWrite)
  if (folder.workspaceId !== workspaceId) throw new NotFound(folder.id).at('folderId')
  return { folder, below: checkPath(path) }
}

/**
 * Returns the live file that receives a new version, and its folder. Throws NotFound, Forbidden, and
 * InvalidState for a folder.
 */
export async function requireVersioned(
  s: TxContext,
  { workspaceId, versionOf }: { workspaceId: string; versionOf: string },
): Promise<{ file: FileRow; parent: FolderRow }> {
  const { entry, parent } = await requireLive(s.tx, s.viewer, { id: versionOf }, toWrite)
  if (entry.workspaceId !== workspaceId) throw new NotFound(versionOf).at('versionOf')
  if (entry.kind === 'file' && parent) return { file: entry, parent }
  throw new InvalidState('FOLDER', 'this is a folder; only files have versions').at('versionOf')
}

/**
 * Returns the folder of a target, or null if it must be created. Throws InvalidInput if it cannot be created
 * because of its depth, length or names, and NameConflict if a file has the name of one of the folders.
 */
export async function findTarget(
  s: TxContext,
  { folder, below }: Target,
): Promise<FolderRow | null> {
  if (below.length === 0) return folder
  const pathKey = below.reduce((key, { nameKey }) => `${key}${nameKey}/`, folder.pathKey)
  const existing = await liveFolder(s.tx, folder.workspaceId, pathKey)
  if (existing) return existing
  checkDepth(depthOf(folder) + below.length, ['path'])
  checkPathLength(byteLength(pathKey))
  await requireCreatable(s, folder, below)
  return null
}

/** Descends to the first missing folder, and checks the names of the folders from there on. */
async function requireCreatable({ tx }: TxContext, folder: FolderRow, below: readonly EntryName[]) {
  let parent: FolderRow | null = folder
  for (const { name, nameKey } of below) {
    const child: EntryRow | null = parent && (await childByKey(tx, parent.id, nameKey))
    if (!child) checkMarks(name, ['path'])
    parent = child && requireFolderName(child)
  }
}

/** Returns an entry that has the name of a folder of the target. Throws NameConflict for a file. */
export function requireFolderName(existing: EntryRow): FolderRow {
  if (existing.kind === 'folder') return existing
  const { id: existingId, name } = existing
  throw new NameConflict({ name, existingId, suggestedName: numberedName(name, 2) }).at('path')
}

/** Returns the path that the file will have. */
export const targetPath = ({ folder, below }: Target, name: string) =>
  childPath(folder, [...below.map((folder) => folder.name), name].join('/'))
