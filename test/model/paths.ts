import type { Entry, World } from './model-state.ts'
import { namesOf } from './names.ts'
import { refuse } from './refusal.ts'
import { at, byId, isLive, isRoot, rootOf } from './tree.ts'

/** As the inputs name an entry. */
export type Ref = { id?: string; path?: { workspaceId: string; path: string } }
export type Item = { entry: Ref; expectedRevision?: number }

export function requireWorkspace(world: World, workspaceId: string): number {
  const index = world.workspaces.findIndex(({ id }) => id === workspaceId)
  return index === -1 ? refuse('NOT_FOUND') : index
}

/** In the trash or not. */
export function requireEntry(world: World, ref: Ref): Entry {
  if (!ref.path) return byId(world, ref.id ?? '') ?? refuse('NOT_FOUND')
  const workspace = requireWorkspace(world, ref.path.workspaceId)
  return at(world, workspace, namesOf(ref.path.path)) ?? refuse('NOT_FOUND')
}

export function requireLive(world: World, ref: Ref): Entry {
  const entry = requireEntry(world, ref)
  return isLive(world, entry) ? entry : refuse('INVALID_STATE')
}

export function requireFolder(world: World, ref: Ref): Entry {
  const entry = requireLive(world, ref)
  return entry.kind === 'folder' ? entry : refuse('INVALID_STATE')
}

export function checkRevision(
  { revision }: Entry,
  { expectedRevision }: { expectedRevision?: number },
) {
  if (expectedRevision !== undefined && expectedRevision !== revision) refuse('STALE_REVISION')
}

export function refuseRoot(entry: Entry) {
  if (isRoot(entry)) refuse('INVALID_STATE')
}

/** A folder by its id, else the root. */
export const folderOrRoot = (world: World, workspace: number, id: string | null): Entry =>
  id === null ? rootOf(world, workspace) : requireFolder(world, { id })

/** What was itself put in the trash. */
export function requireTrashed(world: World, id: string): Entry {
  const entry = requireEntry(world, { id })
  return entry.trashed ? entry : refuse('INVALID_STATE')
}
