import type { Dice } from '../../support/data/seeded-random.ts'
import { drawId, drawItems, drawMode, drawWorkspace, trashIn } from '../draws.ts'
import { sizeOf } from '../figures.ts'
import { reject } from '../refusal.ts'
import { type Entry, type Model, recordDeleted, type Table } from '../state/model-state.ts'
import {
  assertNotRoot,
  checkRevision,
  type Item,
  requireLive,
  requireTrashed,
  requireWorkspace,
} from '../state/paths.ts'
import { deleteLinks, unlinkRows } from '../state/rows.ts'
import { putInTrash, subtreeOf } from '../state/tree.ts'
import {
  batchMutation,
  batchOutcome,
  mutation,
  type Operation,
  stepsOf,
  sumOfDone,
  type TrashedItem,
} from './operation.ts'

type Unlink = { table: string; column: string }
type TrashEntries = { entries: Item[]; recursive: boolean; unlinkRows?: Unlink; mode: string }
const trashEntries: Operation<TrashEntries> = {
  name: 'trashEntries',
  weight: 8,
  draw: (model, dice) => ({
    entries: drawItems(model, dice),
    recursive: dice.chance(80),
    ...(dice.chance(35) && { unlinkRows: drawUnlink(dice.pick([...model.tables.values()]), dice) }),
    mode: drawMode(dice),
  }),
  run: batchMutation('trashEntries', 'rowsUnlinked', ({ rowsUnlinked }) => rowsUnlinked),
  apply(model, input) {
    const counts: number[] = []
    const act = ({ entry: ref, ...item }: Item) => {
      const entry = requireLive(model, ref)
      assertNotRoot(entry)
      checkRevision(entry, item)
      if (!input.recursive && subtreeOf(model, entry).length > 1) reject('NOT_EMPTY')
      putInTrash(model, entry)
      if (input.unlinkRows) counts.push(unlinkRows(model, entry, input.unlinkRows))
      return entry.key
    }
    return batchOutcome(model, input, input.entries, act, (done) => sumOfDone(done, counts))
  },
  steps: stepsOf('entries'),
}

const drawUnlink = (table: Table | undefined, dice: Dice): Unlink => ({
  table: table?.name ?? 'nothing',
  column: dice.pick(['file', 'file', 'file', 'other', 'run', 'nothing']),
})

const purgeEntries: Operation<{ entries: TrashedItem[]; mode: string }> = {
  name: 'purgeEntries',
  weight: 3,
  draw: (model, dice) => ({
    entries: dice.some([1], 2).map(() => ({ entry: { id: drawId(model, dice, trashIn(model)) } })),
    mode: drawMode(dice),
  }),
  run: batchMutation('purgeEntries', 'freedBytes', ({ freedBytes }) => freedBytes),
  apply(model, input) {
    const sizes: number[] = []
    const act = ({ entry: { id } }: TrashedItem) => {
      const entry = requireTrashed(model, id)
      sizes.push(purge(model, entry))
      return entry.key
    }
    const outcome = batchOutcome(model, input, input.entries, act, (done) => sumOfDone(done, sizes))
    return { ...outcome, keys: [] }
  },
  steps: stepsOf('entries'),
}

/** Purges a trashed subtree and returns the bytes of its versions. */
function purge(model: Model, root: Entry): number {
  const purged = subtreeOf(model, root)
  const keys = new Set(purged.map(({ key }) => key))
  for (const { key, id, versions } of purged) {
    model.entries.delete(key)
    recordDeleted(model, id)
    recordDeleted(model, versions.at(-1)?.id ?? null)
  }
  for (const { trashed } of model.entries.values())
    if (trashed && keys.has(trashed.parent ?? -1)) trashed.parent = null
  for (const { key, id, entry } of model.shares.values())
    if (keys.has(entry) && model.shares.delete(key)) recordDeleted(model, id)
  for (const upload of model.uploads.values()) if (keys.has(upload.file ?? -1)) upload.file = null
  deleteLinks(model, keys)
  return sizeOf(purged.flatMap(({ versions }) => versions))
}

const emptyTrash: Operation<{ workspaceId: string }> = {
  name: 'emptyTrash',
  weight: 1,
  draw: (model, dice) =>
    trashIn(model).length < 12 ? null : { workspaceId: drawWorkspace(model, dice) },
  run: mutation('emptyTrash', 'purgedCount freedBytes', ({ purgedCount, freedBytes }) => ({
    facts: [purgedCount, freedBytes],
  })),
  apply(model, { workspaceId }) {
    const workspace = requireWorkspace(model, workspaceId)
    const trashed = trashIn(model).filter((entry) => entry.workspace === workspace)
    const freed = trashed.map((entry) => purge(model, entry))
    return { code: null, facts: [trashed.length, freed.reduce((all, size) => all + size, 0)] }
  },
}

export const trashOperations: Operation[] = [trashEntries, purgeEntries, emptyTrash]
