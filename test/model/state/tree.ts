import { reject } from '../refusal.ts'
import { type Entry, insertEntry, type Model } from './model-state.ts'
import { checkName, fold, freeName } from './names.ts'

/** Returns the entry with the id, or undefined if it does not exist. */
export const byId = (model: Model, id: string): Entry | undefined =>
  [...model.entries.values()].find((entry) => entry.id === id)

export function byKey(model: Model, key: number | null): Entry {
  const entry = model.entries.get(key ?? -1)
  if (!entry) throw new Error(`the model has no entry ${key}`)
  return entry
}

export const childrenOf = (model: Model, { key }: Entry): Entry[] =>
  [...model.entries.values()].filter(({ parent }) => parent === key)

export const childNamed = (model: Model, folder: Entry, name: string): Entry | undefined =>
  childrenOf(model, folder).find((child) => fold(child.name) === fold(name))

/** Returns an entry and all its descendants, the entry first. */
export const subtreeOf = (model: Model, entry: Entry): Entry[] => [
  entry,
  ...childrenOf(model, entry).flatMap((child) => subtreeOf(model, child)),
]

/** Returns the entry and its ancestors, up to the root or the root of a trashed subtree. */
function withAncestors(model: Model, entry: Entry): Entry[] {
  const ancestors = entry.parent === null ? [] : withAncestors(model, byKey(model, entry.parent))
  return [entry, ...ancestors]
}

const topOf = (model: Model, entry: Entry) => withAncestors(model, entry).at(-1) ?? entry
export const isLive = (model: Model, entry: Entry) => topOf(model, entry).trashed === null
export const isRoot = ({ parent, trashed }: Entry) => parent === null && trashed === null
export const isBelow = (model: Model, entry: Entry, folder: Entry) =>
  withAncestors(model, entry).includes(folder)

export function pathOf(model: Model, entry: Entry): string {
  if (entry.trashed) return entry.trashed.path
  if (entry.parent === null) return ''
  const parentPath = pathOf(model, byKey(model, entry.parent))
  return parentPath === '' ? entry.name : `${parentPath}/${entry.name}`
}

/** Returns the live entry at a path of a workspace. */
export function at(model: Model, workspace: number, names: readonly string[]): Entry | undefined {
  let entry: Entry | undefined = rootOf(model, workspace)
  for (const name of names) entry = entry && childNamed(model, entry, name)
  return entry
}

export const rootOf = (model: Model, workspace: number) =>
  byKey(model, model.workspaces[workspace]?.root ?? null)

export const touch = (entry: Entry) => {
  entry.revision += 1
  return entry
}

/** Returns the name of a new entry in a folder, and with NEW_VERSION or REUSE the entry that has it. */
export function claimName(
  model: Model,
  folder: Entry,
  name: string,
  mode: string,
  except?: Entry,
): { name: string; existing?: Entry } {
  const existing = childNamed(model, folder, name)
  if (!existing || existing === except) return { name }
  if (mode === 'NEW_VERSION' || mode === 'REUSE') return { name, existing }
  if (mode === 'FAIL') return reject('NAME_CONFLICT')
  if (mode === 'REPLACE') {
    putInTrash(model, existing)
    return { name }
  }
  const taken = new Set(childrenOf(model, folder).map(({ name }) => fold(name)))
  return { name: freeName(name, taken) }
}

export function putInTrash(model: Model, entry: Entry) {
  entry.trashed = { parent: entry.parent, path: pathOf(model, entry) }
  entry.parent = null
  touch(entry)
}

/** Returns the folder at a path below `start` and creates missing folders. */
export function ensureFolders(
  model: Model,
  start: Entry,
  names: readonly string[],
  code = 'INVALID_STATE',
): Entry {
  let folder = start
  for (const name of names) {
    const child = childNamed(model, folder, checkName(name))
    if (child?.kind === 'file') reject(code)
    folder = child ?? addFolder(model, folder, name)
  }
  return folder
}

export function addFolder(model: Model, parent: Entry, name: string, facts: Partial<Entry> = {}) {
  const { workspace, key } = parent
  const folder = insertEntry(model, { ...facts, workspace, kind: 'folder', name, parent: key })
  checkPath(model, folder)
  return folder
}

/** Rejects folders deeper than 64 levels or with a folded path of more than 2,400 bytes. */
export function checkPath(model: Model, folder: Entry) {
  for (const entry of subtreeOf(model, folder)) {
    if (entry.kind === 'file') continue
    const names = withAncestors(model, entry).map(({ name }) => name)
    checkFolderNames(names.slice(0, -1))
  }
}

/** Rejects the names from the root to a folder like checkPath. */
export function checkFolderNames(names: readonly string[]) {
  const bytes = names.reduce((sum, name) => sum + Buffer.byteLength(fold(name)) + 1, 0)
  if (names.length > 64 || bytes > 2400) reject('INVALID_INPUT')
}
