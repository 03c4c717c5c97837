import { conflicts, drawFolder, drawItems, drawMode, hasRoom } from './draws.ts'
import { requireRoom, sizeOf } from './figures.ts'
import { type Entry, insertEntry, type World } from './model-state.ts'
import { batchMutation, batchOutcome, type Operation, stepsOf } from './operation.ts'
import {
  checkRevision,
  type Item,
  type Ref,
  refuseRoot,
  requireEntry,
  requireFolder,
  requireLive,
} from './paths.ts'
import { attempted, refuse } from './refusal.ts'
import { moving } from './rows.ts'
import {
  byKey,
  checkPlace,
  childNamed,
  childrenOf,
  claimName,
  isBelow,
  subtreeOf,
  touch,
} from './tree.ts'
import { addVersion } from './versions.ts'

type Moves = { entries: Item[]; destination: Ref; onConflict: string; mode: string }

/** What goes, and where to; what cannot go there is refused. */
function wayOf(world: World, item: Item, destination: Ref): { entry: Entry; folder: Entry } {
  const entry = requireLive(world, item.entry)
  const folder = requireFolder(world, destination)
  refuseRoot(entry)
  checkRevision(entry, item)
  if (entry.workspace !== folder.workspace) refuse('INVALID_INPUT')
  if (isBelow(world, folder, entry)) refuse('CYCLE')
  return { entry, folder }
}

/** What comes out of a folder does not replace that folder. */
function refuseReplacingAbove(world: World, entry: Entry, folder: Entry) {
  const standing = childNamed(world, folder, entry.name)
  if (standing && isBelow(world, byKey(world, entry.parent), standing)) refuse('CYCLE')
}

function move(world: World, item: Item, { destination, onConflict }: Moves): number {
  const { entry, folder } = wayOf(world, item, destination)
  if (entry.parent === folder.key) return entry.key
  if (onConflict === 'REPLACE') refuseReplacingAbove(world, entry, folder)
  const { name } = claimName(world, folder, entry.name, onConflict)
  moving(world, entry, () => Object.assign(entry, { name, parent: folder.key }))
  if (entry.kind === 'folder') checkPlace(world, entry)
  return touch(entry).key
}

function copy(world: World, item: Item, { destination, onConflict }: Moves): number {
  const { entry, folder } = wayOf(world, item, destination)
  if (onConflict === 'REPLACE') refuseReplacingAbove(world, entry, folder)
  const beside = onConflict === 'REPLACE' && entry.parent === folder.key
  const claim = claimName(world, folder, entry.name, beside ? 'FAIL' : onConflict)
  if (claim.existing) return copyOver(world, entry, claim.existing)
  const current = subtreeOf(world, entry).flatMap(({ versions }) => versions.slice(-1))
  requireRoom(world, entry.workspace, sizeOf(current))
  const made = copyInto(world, entry, folder, claim.name)
  checkPlace(world, made)
  return made.key
}

function copyOver(world: World, entry: Entry, existing: Entry): number {
  const version = entry.versions.at(-1)
  if (!version || existing.kind === 'folder') return refuse('NAME_CONFLICT')
  return addVersion(world, existing, { ...version, comment: null }).key
}

function copyInto(world: World, entry: Entry, folder: Entry, name: string): Entry {
  const { workspace, kind, description, metadata, tags, versions } = entry
  const [first] = versions.slice(-1).map((version) => ({ ...version, number: 1, comment: null }))
  const made = insertEntry(world, {
    ...{ workspace, kind, name, description, metadata },
    parent: folder.key,
    tags: new Set(tags),
    versions: first ? [{ ...first, key: world.next++, id: null }] : [],
  })
  for (const child of childrenOf(world, entry)) copyInto(world, child, made, child.name)
  return made
}

/** Refused as a whole where the destination is none. */
const together = (act: typeof move) => (world: World, input: Moves) => {
  requireFolder(world, input.destination)
  return batchOutcome(world, input, input.entries, (item) => act(world, item, input))
}

const moveEntries: Operation<Moves> = {
  name: 'moveEntries',
  weight: 14,
  draw(world, dice) {
    const entries = drawItems(world, dice)
    const destination = drawFolder(world, dice, entries[0]?.entry)
    const onConflict = dice.chance(5) ? 'NEW_VERSION' : dice.pick(['FAIL', 'RENAME', 'REPLACE'])
    return { entries, destination, onConflict, mode: drawMode(dice) }
  },
  run: batchMutation('moveEntries'),
  apply(world, input) {
    if (input.onConflict === 'NEW_VERSION') refuse('INVALID_INPUT')
    return together(move)(world, input)
  },
  steps: stepsOf('entries'),
}

const copyEntries: Operation<Moves> = {
  name: 'copyEntries',
  weight: 6,
  draw(world, dice) {
    const entries = drawItems(world, dice)
    const found = entries.map(({ entry }) => attempted(world, () => requireEntry(world, entry)))
    const sizes = found.map((it) => ('done' in it ? subtreeOf(world, it.done).length : 0))
    // A copy may take along what another one of the batch has made.
    if (!hasRoom(world, 2 ** entries.length * sizes.reduce((sum, size) => sum + size, 0)))
      return null
    return {
      entries,
      destination: drawFolder(world, dice, entries[0]?.entry),
      onConflict: dice.pick(conflicts),
      mode: drawMode(dice),
    }
  },
  run: batchMutation('copyEntries'),
  apply: together(copy),
  steps: stepsOf('entries'),
}

export const moveOperations: Operation[] = [moveEntries, copyEntries]
