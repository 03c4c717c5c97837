import type { TxContext } from '../../../context.ts'
import { NotFound } from '../../../errors/access.ts'
import { InvalidState } from '../../../errors/entries.ts'
import {
  type FileRow,
  type FolderRow,
  liveFolder,
  requireLive,
  requireLiveFolder,
} from '../../entries/reads.ts'
import { checkPath, childPath, type EntryName } from '../../entries/rules.ts'
import { resolveNameConflict, toWrite } from '../../entries/writes.ts'

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

/** Throws NameConflict if the folder exists and already has an entry of this name. */
export async function requireFreeName(s: TxContext, { folder, below }: Target, name: EntryName) {
  const pathKey = below.reduce((key, { nameKey }) => `${key}${nameKey}/`, folder.pathKey)
  const existing = await liveFolder(s.tx, folder.workspaceId, pathKey)
  if (existing) await resolveNameConflict(s, existing, name, 'FAIL')
}

/** Returns the path that the file will have. */
export const targetPath = ({ folder, below }: Target, name: string) =>
  childPath(folder, [...below.map((folder) => folder.name), name].join('/'))
