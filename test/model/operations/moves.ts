import { conflicts, drawFolder, drawItems, drawMode, hasRoom } from '../draws.ts'
import { requireRoom, sizeOf } from '../figures.ts'
import { reject, tryInModel } from '../refusal.ts'
import { type Entry, insertEntry, type Model } from '../state/model-state.ts'
import {
  assertNotRoot,
  checkRevision,
  type Item,
  type Ref,
  requireEntry,
  requireFolder,
  requireLive,
} from '../state/paths.ts'
import { moveWithRows } from '../state/rows.ts'
import {
  byKey,
  checkPath,
  childNamed,
  childrenOf,
  claimName,
  isBelow,
  subtreeOf,
  touch,
} from '../state/tree.ts'
import { batchMutation, batchOutcome, type Operation, stepsOf } from './operation.ts'
import { addVersion } from './versions.ts'

type Moves = { entries: Item[]; folder: Ref; onConflict: string; mode: string }

/** Resolves the entry and its destination. Rejects moves that are not allowed. */
function resolveMove(model: Model, item: Item, destination: Ref): { entry: Entry; folder: Entry } {
  const entry = requireLive(model, item.entry)
  const folder = requireFolder(model, destination)
  assertNotRoot(entry)
  checkRevision(entry, item)
  if (entry.workspace !== folder.workspace) reject('INVALID_INPUT')
  if (isBelow(model, folder, entry)) reject('CYCLE')
  return { entry, folder }
}

/** Rejects with CYCLE if the entry would replace a folder that contains it. */
function assertNotReplacingAncestor(model: Model, entry: Entry, folder: Entry) {
  const existing = childNamed(model, folder, entry.name)
  if (existing && isBelow(model, byKey(model, entry.parent), existing)) reject('CYCLE')
}

function move(model: Model, item: Item, { folder: destination, onConflict }: Moves): number {
  const { entry, folder } = resolveMove(model, item, destination)
  if (entry.parent === folder.key) return entry.key
  if (onConflict === 'REPLACE') assertNotReplacingAncestor(model, entry, folder)
  const { name } = claimName(model, folder, entry.name, onConflict)
  moveWithRows(model, entry, () => Object.assign(entry, { name, parent: folder.key }))
  if (entry.kind === 'folder') checkPath(model, entry)
  return touch(entry).key
}

function copy(model: Model, item: Item, { folder: destination, onConflict }: Moves): number {
  const { entry, folder } = resolveMove(model, item, destination)
  if (onConflict === 'REPLACE') assertNotReplacingAncestor(model, entry, folder)
  const isCopyInPlace = onConflict === 'REPLACE' && entry.parent === folder.key
  const claim = claimName(model, folder, entry.name, isCopyInPlace ? 'FAIL' : onConflict)
  if (claim.existing) return copyOver(model, entry, claim.existing)
  const current = subtreeOf(model, entry).flatMap(({ versions }) => versions.slice(-1))
  requireRoom(model, entry.workspace, sizeOf(current))
  const created = copyInto(model, entry, folder, claim.name)
  checkPath(model, created)
  return created.key
}

function copyOver(model: Model, entry: Entry, existing: Entry): number {
  const version = entry.versions.at(-1)
  if (!version || existing.kind === 'folder') return reject('NAME_CONFLICT')
  return addVersion(model, existing, { ...version, comment: null }).key
}

function copyInto(model: Model, entry: Entry, folder: Entry, name: string): Entry {
  const { workspace, kind, description, metadata, tags, versions } = entry
  const [first] = versions.slice(-1).map((version) => ({ ...version, number: 1, comment: null }))
  const created = insertEntry(model, {
    ...{ workspace, kind, name, description, metadata },
    parent: folder.key,
    tags: new Set(tags),
    versions: first ? [{ ...first, key: model.next++, id: null }] : [],
  })
  for (const child of childrenOf(model, entry)) copyInto(model, child, created, child.name)
  return created
}

/** Applies `act` to each item, after the destination is resolved once for the batch. */
const applyBatch = (act: typeof move) => (model: Model, input: Moves) => {
  requireFolder(model, input.folder)
  return batchOutcome(model, input, input.entries, (item) => act(model, item, input))
}

const moveEntries: Operation<Moves> = {
  name: 'moveEntries',
  weight: 14,
  draw(model, dice) {
    const entries = drawItems(model, dice)
    const destination = drawFolder(model, dice, entries[0]?.entry)
    const onConflict = dice.chance(5) ? 'NEW_VERSION' : dice.pick(['FAIL', 'RENAME', 'REPLACE'])
    return { entries, folder: destination, onConflict, mode: drawMode(dice) }
  },
  run: batchMutation('moveEntries'),
  apply(model, input) {
    if (input.onConflict === 'NEW_VERSION') reject('INVALID_INPUT')
    return applyBatch(move)(model, input)
  },
  steps: stepsOf('entries'),
}

const copyEntries: Operation<Moves> = {
  name: 'copyEntries',
  weight: 6,
  draw(model, dice) {
    const entries = drawItems(model, dice)
    const resolved = entries.map(({ entry }) => tryInModel(model, () => requireEntry(model, entry)))
    const sizes = resolved.map((result) =>
      'done' in result ? subtreeOf(model, result.done).length : 0,
    )
    // A copy may include copies that earlier items of the batch have created.
    if (!hasRoom(model, 2 ** entries.length * sizes.reduce((sum, size) => sum + size, 0)))
      return null
    return {
      entries,
      folder: drawFolder(model, dice, entries[0]?.entry),
      onConflict: dice.pick(conflicts),
      mode: drawMode(dice),
    }
  },
  run: batchMutation('copyEntries'),
  apply: applyBatch(copy),
  steps: stepsOf('entries'),
}

export const moveOperations: Operation[] = [moveEntries, copyEntries]
