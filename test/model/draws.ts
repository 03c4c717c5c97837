import type { Dice } from '../support/data/seeded-random.ts'
import type { Entry, Model } from './state/model-state.ts'
import { invalidNames, longNames, names } from './state/names.ts'
import type { Item, Ref } from './state/paths.ts'
import { byId, isLive, isRoot, pathOf } from './state/tree.ts'

/** Limits the size of the tree, so that a random walk stays fast. */
const MAX_ENTRY_COUNT = 240

export const hasRoom = ({ entries }: Model, more = 1) => entries.size + more <= MAX_ENTRY_COUNT

export const conflicts = ['FAIL', 'RENAME', 'NEW_VERSION', 'REPLACE'] as const
export const folderConflicts = ['FAIL', 'RENAME', 'REUSE', 'REPLACE'] as const
export const drawMode = (dice: Dice) => dice.pick(['ALL_OR_NOTHING', 'BEST_EFFORT'])

export function drawName(dice: Dice): string {
  if (dice.chance(3)) return dice.pick(invalidNames)
  return dice.chance(2) ? dice.pick(longNames) : dice.pick(names)
}

const tagNames = ['plate', 'Plate', 'raw', ' RAW ', '\u00e9', 'e\u0301', 'run-1', 'x'] as const
export const drawTag = (dice: Dice): string => (dice.chance(3) ? '  ' : dice.pick(tagNames))
export const drawTags = (dice: Dice): string[] => dice.some(tagNames, 3)

export const livingIn = (model: Model): Entry[] =>
  [...model.entries.values()].filter((entry) => isLive(model, entry))

export const foldersIn = (model: Model) => livingIn(model).filter(({ kind }) => kind === 'folder')
export const filesIn = (model: Model) => livingIn(model).filter(({ kind }) => kind === 'file')
export const trashIn = (model: Model) =>
  [...model.entries.values()].filter(({ trashed }) => trashed !== null)

/** Draws an id: mostly one of `likely`, else the id of any entry, of a deleted entry, or an unknown id. */
export function drawId(model: Model, dice: Dice, likely: readonly { id: string | null }[]): string {
  const any = [...model.entries.values()]
  const drawn = dice.chance(92) ? dice.pick(likely) : dice.pick(any)
  const deletedId = dice.pick(model.deletedIds) ?? 'file_nothing'
  return dice.chance(3) ? deletedId : (drawn?.id ?? deletedId)
}

/** Draws a reference by id, or by the path of a live entry, sometimes in another case. */
export function drawRef(model: Model, dice: Dice, likely: readonly Entry[]): Ref {
  const id = drawId(model, dice, likely)
  const entry = byId(model, id)
  const workspaceId = model.workspaces[entry?.workspace ?? 0]?.id ?? ''
  if (!entry || !isLive(model, entry) || dice.chance(70)) return { id }
  const path = pathOf(model, entry)
  return { path: { workspaceId, path: dice.chance(30) ? path.toUpperCase() : path } }
}

/** Draws a destination: mostly a folder in the workspace of `sibling`. */
export function drawFolder(model: Model, dice: Dice, sibling?: Ref): Ref {
  const workspace = sibling && dice.chance(95) ? workspaceOf(model, sibling) : undefined
  const likely = dice.chance(95) ? foldersIn(model) : livingIn(model)
  const sameWorkspace = likely.filter(
    (entry) => workspace === undefined || entry.workspace === workspace,
  )
  return drawRef(model, dice, sameWorkspace)
}

function workspaceOf(model: Model, { id, path }: Ref): number | undefined {
  if (path) return model.workspaces.findIndex((workspace) => workspace.id === path.workspaceId)
  return byId(model, id ?? '')?.workspace
}

export function drawRevision(model: Model, dice: Dice, { id }: Ref): { expectedRevision?: number } {
  const entry = id === undefined ? undefined : byId(model, id)
  if (!entry || dice.chance(88)) return {}
  return { expectedRevision: entry.revision + (dice.chance(30) ? 1 : 0) }
}

/** Draws one to four entries, mostly live ones. */
export function drawItems(model: Model, dice: Dice): Item[] {
  const likely = livingIn(model).filter((entry) => !isRoot(entry) || dice.chance(3))
  const some = dice.some([1, 1, 1, 1], dice.chance(70) ? 1 : 4)
  return some.map(() => {
    const entry = drawRef(model, dice, likely)
    return { entry, ...drawRevision(model, dice, entry) }
  })
}

export const drawWorkspace = (model: Model, dice: Dice): string =>
  dice.chance(1) ? 'ws_nothing' : (dice.pick(model.workspaces)?.id ?? '')

const metadata = [{ a: 1 }, { a: 'ä' }, { b: [1, 2] }, { b: null }, {}] as const
export const drawFacts = (dice: Dice) => ({
  ...(dice.chance(20) && { description: `about ${dice.below(5)}` }),
  ...(dice.chance(15) && { metadata: dice.pick(metadata) }),
  ...(dice.chance(25) && { tags: drawTags(dice) }),
})
