import {
  conflicts,
  drawFacts,
  drawFolder,
  drawName,
  drawRef,
  drawRevision,
  drawWorkspace,
  hasRoom,
  livingIn,
} from './draws.ts'
import type { Entry, World } from './model-state.ts'
import { checkName, namesOf } from './names.ts'
import { mutation, type Operation } from './operation.ts'
import {
  checkRevision,
  type Ref,
  refuseRoot,
  requireFolder,
  requireLive,
  requireWorkspace,
} from './paths.ts'
import { refuse } from './refusal.ts'
import { moving } from './rows.ts'
import { addTags } from './tags.ts'
import {
  addFolder,
  byKey,
  checkPlace,
  claimName,
  ensureFolders,
  pathOf,
  rootOf,
  touch,
} from './tree.ts'

type Facts = { description?: string; metadata?: Record<string, unknown>; tags?: string[] }

/** A shallow merge, where null takes a key away. */
export const merged = (old: Record<string, unknown>, change: Record<string, unknown> = {}) =>
  Object.fromEntries(Object.entries({ ...old, ...change }).filter(([, value]) => value !== null))

const shown = (world: World, entry: Entry) => ({
  code: null,
  facts: [pathOf(world, entry), entry.revision],
  is: [entry.key],
})
const asShown = ({ id, path, revision }: any) => ({ facts: [path, revision], ids: [id] })

type CreateFolder = Facts & {
  workspaceId?: string
  parent?: Ref
  name: string
  createParents: boolean
  onConflict: string
}
const createFolder: Operation<CreateFolder> = {
  name: 'createFolder',
  weight: 9,
  draw(world, dice) {
    if (!hasRoom(world, 3)) return null
    const names = dice.some([1, 1], 2).map(() => drawName(dice))
    const createParents = dice.chance(40)
    return {
      ...(dice.chance(20)
        ? { workspaceId: drawWorkspace(world, dice) }
        : { parent: drawFolder(world, dice) }),
      name: createParents ? names.join('/') : drawName(dice),
      createParents,
      onConflict: dice.pick(conflicts),
      ...drawFacts(dice),
    }
  },
  run: mutation('createFolder', 'folder { id path revision }', ({ folder }) => asShown(folder)),
  apply(world, input) {
    const { name, createParents, onConflict, tags = [], metadata, description = null } = input
    const names = createParents && name.includes('/') ? namesOf(name) : [checkName(name)]
    const start = input.parent
      ? requireFolder(world, input.parent)
      : rootOf(world, requireWorkspace(world, input.workspaceId ?? ''))
    const parent = ensureFolders(world, start, names.slice(0, -1))
    const claim = claimName(world, parent, names.at(-1) ?? '', onConflict)
    if (claim.existing?.kind === 'file') refuse('INVALID_STATE')
    if (claim.existing) return shown(world, claim.existing)
    const facts = { description, metadata: merged({}, metadata) }
    const folder = addFolder(world, parent, claim.name, facts)
    addTags(world, folder, tags)
    return shown(world, folder)
  },
}

type UpdateEntry = Facts & { entry: Ref; name?: string; expectedRevision?: number }
const updateEntry: Operation<UpdateEntry> = {
  name: 'updateEntry',
  weight: 12,
  draw(world, dice) {
    const entry = drawRef(world, dice, livingIn(world))
    return {
      entry,
      ...(dice.chance(75) && { name: drawName(dice) }),
      ...drawFacts(dice),
      ...drawRevision(world, dice, entry),
    }
  },
  run: mutation('updateEntry', 'entry { id path revision }', ({ entry }) => asShown(entry)),
  apply(world, input) {
    const entry = requireLive(world, input.entry)
    checkRevision(entry, input)
    const { name, tags, description, metadata } = input
    if (name !== undefined) rename(world, entry, checkName(name))
    if (tags) entry.tags.clear()
    addTags(world, entry, tags ?? [])
    if (description !== undefined) entry.description = description
    entry.metadata = merged(entry.metadata, metadata)
    touch(entry)
    return shown(world, entry)
  },
}

function rename(world: World, entry: Entry, wanted: string) {
  refuseRoot(entry)
  const { name } = claimName(world, byKey(world, entry.parent), wanted, 'FAIL', entry)
  moving(world, entry, () => {
    entry.name = name
  })
  if (entry.kind === 'folder') checkPlace(world, entry)
}

export const folderOperations: Operation[] = [createFolder, updateEntry]
