import type { TxContext } from '../../../context.ts'
import { InvalidState, NotFound } from '../../../errors.ts'
import { type EntryRow, liveFolder, requireLive, requireLiveFolder } from '../../entries/reads.ts'
import { checkPath, childPath, type EntryName } from '../../entries/rules.ts'
import { resolveNameConflict, toWrite } from '../../entries/writes.ts'

/** A place for a file: a folder that is there, and the names of those below it that may still be missing. */
export type Target = { folder: EntryRow; below: EntryName[] }
type Place = { workspaceId: string; folderId: string | null; path: string }

/** Where a file is to go; NotFound, Forbidden, InvalidInput, InvalidState (in the trash, or no folder). */
export async function requireTarget(s: TxContext, place: Place): Promise<Target> {
  const { workspaceId, folderId, path } = place
  const ref = folderId ? { id: folderId } : { path: { workspaceId, path: '' } }
  const { entry: folder } = await requireLiveFolder(s.tx, s.viewer, ref, toWrite)
  if (folder.workspaceId !== workspaceId) throw new NotFound(folder.id).at('folderId')
  return { folder, below: checkPath(path) }
}

/** The living file of this workspace that gets another version, and its folder. */
export async function requireVersioned(
  s: TxContext,
  { workspaceId, versionOf }: { workspaceId: string; versionOf: string },
): Promise<{ file: EntryRow; parent: EntryRow }> {
  const { entry, parent } = await requireLive(s.tx, s.viewer, { id: versionOf }, toWrite)
  if (entry.workspaceId !== workspaceId) throw new NotFound(versionOf).at('versionOf')
  if (entry.kind === 'file' && parent) return { file: entry, parent }
  throw new InvalidState('FOLDER', 'this is a folder; files have versions').at('versionOf')
}

/** Throws NameConflict where the folder is there and holds this name already. */
export async function requireFreeName(s: TxContext, { folder, below }: Target, name: EntryName) {
  const pathKey = below.reduce((key, { nameKey }) => `${key}${nameKey}/`, folder.pathKey ?? '')
  const there = await liveFolder(s.tx, folder.workspaceId, pathKey)
  if (there) await resolveNameConflict(s, there, name, 'FAIL')
}

/** The path that a file will have. */
export const targetPath = ({ folder, below }: Target, name: string) =>
  childPath(folder, [...below.map((folder) => folder.name), name].join('/'))
