import { type Entry, insertEntry, type World } from './model-state.ts'
import { checkName, fold, freeName } from './names.ts'
import { refuse } from './refusal.ts'

/** An entry by its id; undefined where there is none (any more). */
export const byId = (world: World, id: string): Entry | undefined =>
  [...world.entries.values()].find((entry) => entry.id === id)

export function byKey(world: World, key: number | null): Entry {
  const entry = world.entries.get(key ?? -1)
  if (!entry) throw new Error(`the model has no entry ${key}`)
  return entry
}

export const childrenOf = (world: World, { key }: Entry): Entry[] =>
  [...world.entries.values()].filter(({ parent }) => parent === key)

export const childNamed = (world: World, folder: Entry, name: string): Entry | undefined =>
  childrenOf(world, folder).find((child) => fold(child.name) === fold(name))

/** An entry with all below it, itself first. */
export const subtreeOf = (world: World, entry: Entry): Entry[] => [
  entry,
  ...childrenOf(world, entry).flatMap((child) => subtreeOf(world, child)),
]

/** From the entry itself up to the root, or to what was itself put in the trash. */
function wayUp(world: World, entry: Entry): Entry[] {
  const above = entry.parent === null ? [] : wayUp(world, byKey(world, entry.parent))
  return [entry, ...above]
}

const topOf = (world: World, entry: Entry) => wayUp(world, entry).at(-1) ?? entry
export const isLive = (world: World, entry: Entry) => topOf(world, entry).trashed === null
export const isRoot = ({ parent, trashed }: Entry) => parent === null && trashed === null
export const isBelow = (world: World, entry: Entry, folder: Entry) =>
  wayUp(world, entry).includes(folder)

export function pathOf(world: World, entry: Entry): string {
  if (entry.trashed) return entry.trashed.path
  if (entry.parent === null) return ''
  const above = pathOf(world, byKey(world, entry.parent))
  return above === '' ? entry.name : `${above}/${entry.name}`
}

/** What lives at a path of a workspace. */
export function at(world: World, workspace: number, names: readonly string[]): Entry | undefined {
  let entry: Entry | undefined = rootOf(world, workspace)
  for (const name of names) entry = entry && childNamed(world, entry, name)
  return entry
}

export const rootOf = (world: World, workspace: number) =>
  byKey(world, world.workspaces[workspace]?.root ?? null)

export const touch = (entry: Entry) => {
  entry.revision += 1
  return entry
}

/** The name that something new gets in a folder; with NEW_VERSION also what has it already. */
export function claimName(
  world: World,
  folder: Entry,
  wanted: string,
  mode: string,
  except?: Entry,
): { name: string; existing?: Entry } {
  const existing = childNamed(world, folder, wanted)
  if (!existing || existing === except) return { name: wanted }
  if (mode === 'NEW_VERSION') return { name: wanted, existing }
  if (mode === 'FAIL') return refuse('NAME_CONFLICT')
  if (mode === 'REPLACE') {
    putInTrash(world, existing)
    return { name: wanted }
  }
  const taken = new Set(childrenOf(world, folder).map(({ name }) => fold(name)))
  return { name: freeName(wanted, taken) }
}

export function putInTrash(world: World, entry: Entry) {
  entry.trashed = { parent: entry.parent, path: pathOf(world, entry) }
  entry.parent = null
  touch(entry)
}

/** Walks down from a folder, making the folders that are not there. */
export function ensureFolders(world: World, start: Entry, names: readonly string[]): Entry {
  let folder = start
  for (const name of names) {
    const child = childNamed(world, folder, checkName(name))
    if (child?.kind === 'file') refuse('INVALID_STATE')
    folder = child ?? addFolder(world, folder, name)
  }
  return folder
}

export function addFolder(world: World, parent: Entry, name: string, facts: Partial<Entry> = {}) {
  const { workspace, key } = parent
  const folder = insertEntry(world, { ...facts, workspace, kind: 'folder', name, parent: key })
  checkPlace(world, folder)
  return folder
}

/** No folder lies deeper than 64, nor has a path, as paths compare, of more than 2,400 bytes. */
export function checkPlace(world: World, folder: Entry) {
  for (const entry of subtreeOf(world, folder)) {
    if (entry.kind === 'file') continue
    const names = wayUp(world, entry).map(({ name }) => fold(name))
    const bytes = names.reduce((sum, name) => sum + Buffer.byteLength(name) + 1, -1)
    if (names.length - 1 > 64 || bytes > 2400) refuse('INVALID_INPUT')
  }
}
