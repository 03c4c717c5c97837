import {
  drawFacts,
  drawFolder,
  drawName,
  drawRef,
  drawRevision,
  drawWorkspace,
  folderConflicts,
  hasRoom,
  livingIn,
} from '../draws.ts'
import { reject } from '../refusal.ts'
import type { Entry, Model } from '../state/model-state.ts'
import { checkName, namesOf } from '../state/names.ts'
import {
  assertNotRoot,
  checkRevision,
  type Ref,
  requireFolder,
  requireLive,
  requireWorkspace,
} from '../state/paths.ts'
import { moveWithRows } from '../state/rows.ts'
import {
  addFolder,
  byKey,
  checkPath,
  claimName,
  ensureFolders,
  pathOf,
  rootOf,
  touch,
} from '../state/tree.ts'
import { mutation, type Operation } from './operation.ts'
import { addTags } from './tags.ts'

type Facts = { description?: string; metadata?: Record<string, unknown>; tags?: string[] }

/** Merges shallowly; null removes a key. */
export const merged = (old: Record<string, unknown>, change: Record<string, unknown> = {}) =>
  Object.fromEntries(Object.entries({ ...old, ...change }).filter(([, value]) => value !== null))

const entryOutcome = (model: Model, entry: Entry) => ({
  code: null,
  facts: [pathOf(model, entry), entry.revision],
  keys: [entry.key],
})
const readEntry = ({ id, path, revision }: any) => ({ facts: [path, revision], ids: [id] })

type CreateFolder = Facts & {
  workspaceId?: string
  folder?: Ref
  name: string
  createParents: boolean
  onConflict: string
}
const createFolder: Operation<CreateFolder> = {
  name: 'createFolder',
  weight: 9,
  draw(model, dice) {
    if (!hasRoom(model, 3)) return null
    const names = dice.some([1, 1], 2).map(() => drawName(dice))
    const createParents = dice.chance(40)
    return {
      ...(dice.chance(20)
        ? { workspaceId: drawWorkspace(model, dice) }
        : { folder: drawFolder(model, dice) }),
      name: createParents ? names.join('/') : drawName(dice),
      createParents,
      onConflict: dice.pick(folderConflicts),
      ...drawFacts(dice),
    }
  },
  run: mutation('createFolder', 'folder { id path revision }', ({ folder }) => readEntry(folder)),
  apply(model, input) {
    const { name, createParents, onConflict, tags = [], metadata, description = null } = input
    const names = createParents && name.includes('/') ? namesOf(name) : [checkName(name)]
    const start = input.folder
      ? requireFolder(model, input.folder)
      : rootOf(model, requireWorkspace(model, input.workspaceId ?? ''))
    const parent = ensureFolders(model, start, names.slice(0, -1))
    const claim = claimName(model, parent, names.at(-1) ?? '', onConflict)
    if (claim.existing?.kind === 'file') reject('INVALID_STATE')
    if (claim.existing) return entryOutcome(model, claim.existing)
    const facts = { description, metadata: merged({}, metadata) }
    const folder = addFolder(model, parent, claim.name, facts)
    addTags(model, folder, tags)
    return entryOutcome(model, folder)
  },
}

type UpdateEntry = Facts & { entry: Ref; name?: string; expectedRevision?: number }
const updateEntry: Operation<UpdateEntry> = {
  name: 'updateEntry',
  weight: 12,
  draw(model, dice) {
    const entry = drawRef(model, dice, livingIn(model))
    return {
      entry,
      ...(dice.chance(75) && { name: drawName(dice) }),
      ...drawFacts(dice),
      ...drawRevision(model, dice, entry),
    }
  },
  run: mutation('updateEntry', 'entry { id path revision }', ({ entry }) => readEntry(entry)),
  apply(model, input) {
    const entry = requireLive(model, input.entry)
    checkRevision(entry, input)
    const { name, tags, description, metadata } = input
    if (name !== undefined) rename(model, entry, checkName(name))
    if (tags) entry.tags.clear()
    addTags(model, entry, tags ?? [])
    if (description !== undefined) entry.description = description
    entry.metadata = merged(entry.metadata, metadata)
    touch(entry)
    return entryOutcome(model, entry)
  },
}

function rename(model: Model, entry: Entry, newName: string) {
  assertNotRoot(entry)
  const { name } = claimName(model, byKey(model, entry.parent), newName, 'FAIL', entry)
  moveWithRows(model, entry, () => {
    entry.name = name
  })
  if (entry.kind === 'folder') checkPath(model, entry)
}

export const folderOperations: Operation[] = [createFolder, updateEntry]
