import { reject } from '../refusal.ts'
import type { Entry, Model } from './model-state.ts'
import { namesOf } from './names.ts'
import { at, byId, isLive, isRoot, rootOf } from './tree.ts'

/** A reference to an entry in an input. */
export type Ref = { id?: string; path?: { workspaceId: string; path: string } }
export type Item = { entry: Ref; expectedRevision?: number }

export function requireWorkspace(model: Model, workspaceId: string): number {
  const index = model.workspaces.findIndex(({ id }) => id === workspaceId)
  return index === -1 ? reject('NOT_FOUND') : index
}

/** Returns the entry, live or in the trash. */
export function requireEntry(model: Model, ref: Ref): Entry {
  if (!ref.path) return byId(model, ref.id ?? '') ?? reject('NOT_FOUND')
  const workspace = requireWorkspace(model, ref.path.workspaceId)
  return at(model, workspace, namesOf(ref.path.path)) ?? reject('NOT_FOUND')
}

export function requireLive(model: Model, ref: Ref): Entry {
  const entry = requireEntry(model, ref)
  return isLive(model, entry) ? entry : reject('INVALID_STATE')
}

export function requireFolder(model: Model, ref: Ref): Entry {
  const entry = requireLive(model, ref)
  return entry.kind === 'folder' ? entry : reject('INVALID_STATE')
}

export function checkRevision(
  { revision }: Entry,
  { expectedRevision }: { expectedRevision?: number },
) {
  if (expectedRevision !== undefined && expectedRevision !== revision) reject('STALE_REVISION')
}

export function assertNotRoot(entry: Entry) {
  if (isRoot(entry)) reject('INVALID_STATE')
}

/** Returns the folder with the id, or the root folder for null. */
export const folderOrRoot = (model: Model, workspace: number, id: string | null): Entry =>
  id === null ? rootOf(model, workspace) : requireFolder(model, { id })

/** Returns the root of a trashed subtree. */
export function requireTrashed(model: Model, id: string): Entry {
  const entry = requireEntry(model, { id })
  return entry.trashed ? entry : reject('INVALID_STATE')
}
