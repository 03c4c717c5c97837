import type { Dice } from '../support/seeded-random.ts'
import { drawId, drawItems, drawMode, drawWorkspace, trashIn } from './draws.ts'
import { sizeOf } from './figures.ts'
import { bury, type Entry, type Table, type World } from './model-state.ts'
import {
  batchMutation,
  batchOutcome,
  mutation,
  type Operation,
  stepsOf,
  sumOfDone,
} from './operation.ts'
import {
  checkRevision,
  type Item,
  refuseRoot,
  requireLive,
  requireTrashed,
  requireWorkspace,
} from './paths.ts'
import { refuse } from './refusal.ts'
import { forgetLinks, unlinkRows } from './rows.ts'
import { putInTrash, subtreeOf } from './tree.ts'

type Unlink = { table: string; column: string }
type TrashEntries = { entries: Item[]; recursive: boolean; unlinkRows?: Unlink; mode: string }
const trashEntries: Operation<TrashEntries> = {
  name: 'trashEntries',
  weight: 8,
  draw: (world, dice) => ({
    entries: drawItems(world, dice),
    recursive: dice.chance(80),
    ...(dice.chance(35) && { unlinkRows: drawUnlink(dice.pick([...world.tables.values()]), dice) }),
    mode: drawMode(dice),
  }),
  run: batchMutation('trashEntries', 'rowsUnlinked', ({ rowsUnlinked }) => rowsUnlinked),
  apply(world, input) {
    const counts: number[] = []
    const act = ({ entry: ref, ...item }: Item) => {
      const entry = requireLive(world, ref)
      refuseRoot(entry)
      checkRevision(entry, item)
      if (!input.recursive && subtreeOf(world, entry).length > 1) refuse('NOT_EMPTY')
      putInTrash(world, entry)
      if (input.unlinkRows) counts.push(unlinkRows(world, entry, input.unlinkRows))
      return entry.key
    }
    return batchOutcome(world, input, input.entries, act, (done) => sumOfDone(done, counts))
  },
  steps: stepsOf('entries'),
}

const drawUnlink = (table: Table | undefined, dice: Dice): Unlink => ({
  table: table?.name ?? 'nothing',
  column: dice.pick(['file', 'file', 'file', 'other', 'run', 'nothing']),
})

const purgeEntries: Operation<{ entryIds: string[]; mode: string }> = {
  name: 'purgeEntries',
  weight: 3,
  draw: (world, dice) => ({
    entryIds: dice.some([1], 2).map(() => drawId(world, dice, trashIn(world))),
    mode: drawMode(dice),
  }),
  run: batchMutation('purgeEntries', 'freedBytes', ({ freedBytes }) => freedBytes),
  apply(world, input) {
    const sizes: number[] = []
    const act = (id: string) => {
      const entry = requireTrashed(world, id)
      sizes.push(purge(world, entry))
      return entry.key
    }
    const outcome = batchOutcome(world, input, input.entryIds, act, (done) =>
      sumOfDone(done, sizes),
    )
    return { ...outcome, is: [] }
  },
  steps: stepsOf('entryIds'),
}

/** Ends an entry of the trash for good, with all below it; the bytes that its versions had. */
function purge(world: World, root: Entry): number {
  const ended = subtreeOf(world, root)
  const keys = new Set(ended.map(({ key }) => key))
  for (const { key, id, versions } of ended) {
    world.entries.delete(key)
    bury(world, id)
    bury(world, versions.at(-1)?.id ?? null)
  }
  for (const { trashed } of world.entries.values())
    if (trashed && keys.has(trashed.parent ?? -1)) trashed.parent = null
  for (const { key, id, entry } of world.shares.values())
    if (keys.has(entry) && world.shares.delete(key)) bury(world, id)
  for (const upload of world.uploads.values()) if (keys.has(upload.file ?? -1)) upload.file = null
  forgetLinks(world, keys)
  return sizeOf(ended.flatMap(({ versions }) => versions))
}

const emptyTrash: Operation<{ workspaceId: string }> = {
  name: 'emptyTrash',
  weight: 1,
  draw: (world, dice) =>
    trashIn(world).length < 12 ? null : { workspaceId: drawWorkspace(world, dice) },
  run: mutation('emptyTrash', 'purgedCount freedBytes', ({ purgedCount, freedBytes }) => ({
    facts: [purgedCount, freedBytes],
  })),
  apply(world, { workspaceId }) {
    const workspace = requireWorkspace(world, workspaceId)
    const trashed = trashIn(world).filter((entry) => entry.workspace === workspace)
    const freed = trashed.map((entry) => purge(world, entry))
    return { code: null, facts: [trashed.length, freed.reduce((all, size) => all + size, 0)] }
  },
}

export const trashOperations: Operation[] = [trashEntries, purgeEntries, emptyTrash]
