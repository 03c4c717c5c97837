import type { Dice } from '../support/seeded-random.ts'
import type { Entry, World } from './model-state.ts'
import { longNames, names, wrongNames } from './names.ts'
import type { Item, Ref } from './paths.ts'
import { byId, isLive, isRoot, pathOf } from './tree.ts'

/** More than so many entries are not made: a walk goes far, not wide. */
const MOST_ENTRIES = 240

export const hasRoom = ({ entries }: World, more = 1) => entries.size + more <= MOST_ENTRIES

export const conflicts = ['FAIL', 'RENAME', 'NEW_VERSION', 'REPLACE'] as const
export const drawMode = (dice: Dice) => dice.pick(['ALL_OR_NOTHING', 'BEST_EFFORT'])

export function drawName(dice: Dice): string {
  if (dice.chance(3)) return dice.pick(wrongNames)
  return dice.chance(2) ? dice.pick(longNames) : dice.pick(names)
}

const tagNames = ['plate', 'Plate', 'raw', ' RAW ', '\u00e9', 'e\u0301', 'run-1', 'x'] as const
export const drawTag = (dice: Dice): string => (dice.chance(3) ? '  ' : dice.pick(tagNames))
export const drawTags = (dice: Dice): string[] => dice.some(tagNames, 3)

export const livingIn = (world: World): Entry[] =>
  [...world.entries.values()].filter((entry) => isLive(world, entry))

export const foldersIn = (world: World) => livingIn(world).filter(({ kind }) => kind === 'folder')
export const filesIn = (world: World) => livingIn(world).filter(({ kind }) => kind === 'file')
export const trashIn = (world: World) =>
  [...world.entries.values()].filter(({ trashed }) => trashed !== null)

/** An id: of one of these, mostly; else of anything, of what is no more, or of nothing. */
export function drawId(world: World, dice: Dice, likely: readonly { id: string | null }[]): string {
  const any = [...world.entries.values()]
  const drawn = dice.chance(92) ? dice.pick(likely) : dice.pick(any)
  const gone = dice.pick(world.gone) ?? 'file_nothing'
  return dice.chance(3) ? gone : (drawn?.id ?? gone)
}

/** By id, or by its path where it lives; sometimes written otherwise. */
export function drawRef(world: World, dice: Dice, likely: readonly Entry[]): Ref {
  const id = drawId(world, dice, likely)
  const entry = byId(world, id)
  const workspaceId = world.workspaces[entry?.workspace ?? 0]?.id ?? ''
  if (!entry || !isLive(world, entry) || dice.chance(70)) return { id }
  const path = pathOf(world, entry)
  return { path: { workspaceId, path: dice.chance(30) ? path.toUpperCase() : path } }
}

/** Where something goes: most often a folder, and in the workspace where `beside` is. */
export function drawFolder(world: World, dice: Dice, beside?: Ref): Ref {
  const workspace = beside && dice.chance(95) ? workspaceOf(world, beside) : undefined
  const likely = dice.chance(95) ? foldersIn(world) : livingIn(world)
  const near = likely.filter((entry) => workspace === undefined || entry.workspace === workspace)
  return drawRef(world, dice, near)
}

function workspaceOf(world: World, { id, path }: Ref): number | undefined {
  if (path) return world.workspaces.findIndex((workspace) => workspace.id === path.workspaceId)
  return byId(world, id ?? '')?.workspace
}

export function drawRevision(world: World, dice: Dice, { id }: Ref): { expectedRevision?: number } {
  const entry = id === undefined ? undefined : byId(world, id)
  if (!entry || dice.chance(88)) return {}
  return { expectedRevision: entry.revision + (dice.chance(30) ? 1 : 0) }
}

/** One to four entries that live, as a rule. */
export function drawItems(world: World, dice: Dice): Item[] {
  const likely = livingIn(world).filter((entry) => !isRoot(entry) || dice.chance(3))
  const some = dice.some([1, 1, 1, 1], dice.chance(70) ? 1 : 4)
  return some.map(() => {
    const entry = drawRef(world, dice, likely)
    return { entry, ...drawRevision(world, dice, entry) }
  })
}

export const drawWorkspace = (world: World, dice: Dice): string =>
  dice.chance(1) ? 'ws_nothing' : (dice.pick(world.workspaces)?.id ?? '')

const metadata = [{ a: 1 }, { a: 'ä' }, { b: [1, 2] }, { b: null }, {}] as const
export const drawFacts = (dice: Dice) => ({
  ...(dice.chance(20) && { description: `about ${dice.below(5)}` }),
  ...(dice.chance(15) && { metadata: dice.pick(metadata) }),
  ...(dice.chance(25) && { tags: drawTags(dice) }),
})
