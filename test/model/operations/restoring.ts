import { drawFolder, drawId, drawMode, trashIn } from '../draws.ts'
import { reject } from '../refusal.ts'
import type { Entry, Model } from '../state/model-state.ts'
import { namesOf } from '../state/names.ts'
import { type Ref, requireFolder, requireTrashed } from '../state/paths.ts'
import { moveWithRows, relinkRows } from '../state/rows.ts'
import { checkPath, claimName, ensureFolders, isLive, rootOf, touch } from '../state/tree.ts'
import {
  batchMutation,
  batchOutcome,
  type Operation,
  stepsOf,
  sumOfDone,
  type TrashedItem,
} from './operation.ts'

type Restore = { entries: TrashedItem[]; fallbackFolder?: Ref; onConflict: string; mode: string }
const restoreEntries: Operation<Restore> = {
  name: 'restoreEntries',
  weight: 8,
  draw(model, dice) {
    const some = dice.some([1], dice.chance(70) ? 1 : 3)
    const entries = some.map(() => ({ entry: { id: drawId(model, dice, trashIn(model)) } }))
    return {
      entries,
      ...(dice.chance(40) && {
        fallbackFolder: drawFolder(model, dice, entries[0]?.entry ?? { id: '' }),
      }),
      onConflict: dice.chance(5) ? 'NEW_VERSION' : dice.pick(['FAIL', 'RENAME', 'REPLACE']),
      mode: drawMode(dice),
    }
  },
  run: batchMutation('restoreEntries', 'rowsRelinked', ({ rowsRelinked }) => rowsRelinked),
  apply(model, input) {
    if (input.onConflict === 'NEW_VERSION') reject('INVALID_INPUT')
    const counts: number[] = []
    const act = ({ entry }: TrashedItem) => restore(model, entry.id, input, counts)
    return batchOutcome(model, input, input.entries, act, (done) => sumOfDone(done, counts))
  },
  steps: stepsOf('entries'),
}

function restore(model: Model, id: string, input: Restore, counts: number[]): number {
  const entry = requireTrashed(model, id)
  const from = entry.trashed?.path ?? ''
  const folder = resolveDestination(model, entry, input.fallbackFolder)
  const { name } = claimName(model, folder, entry.name, input.onConflict)
  moveWithRows(model, entry, () =>
    Object.assign(entry, { name, parent: folder.key, trashed: null }),
  )
  if (entry.kind === 'folder') checkPath(model, entry)
  counts.push(relinkRows(model, entry, from))
  return touch(entry).key
}

function resolveDestination(
  model: Model,
  { workspace, trashed }: Entry,
  fallback: Ref | undefined,
): Entry {
  const original = model.entries.get(trashed?.parent ?? -1)
  if (original && isLive(model, original)) return original
  if (!fallback) {
    const names = namesOf(trashed?.path ?? '').slice(0, -1)
    return ensureFolders(model, rootOf(model, workspace), names)
  }
  const folder = requireFolder(model, fallback)
  return folder.workspace === workspace ? folder : reject('INVALID_INPUT')
}

export const restoringOperations: Operation[] = [restoreEntries]
