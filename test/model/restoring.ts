import { drawFolder, drawId, drawMode, trashIn } from './draws.ts'
import type { Entry, World } from './model-state.ts'
import { namesOf } from './names.ts'
import { batchMutation, batchOutcome, type Operation, stepsOf, sumOfDone } from './operation.ts'
import { type Ref, requireFolder, requireTrashed } from './paths.ts'
import { refuse } from './refusal.ts'
import { moving, relinkRows } from './rows.ts'
import { checkPlace, claimName, ensureFolders, isLive, rootOf, touch } from './tree.ts'

type Restore = { entryIds: string[]; fallbackDestination?: Ref; onConflict: string; mode: string }
const restoreEntries: Operation<Restore> = {
  name: 'restoreEntries',
  weight: 8,
  draw(world, dice) {
    const some = dice.some([1], dice.chance(70) ? 1 : 3)
    const entryIds = some.map(() => drawId(world, dice, trashIn(world)))
    return {
      entryIds,
      ...(dice.chance(40) && {
        fallbackDestination: drawFolder(world, dice, { id: entryIds[0] ?? '' }),
      }),
      onConflict: dice.chance(5) ? 'NEW_VERSION' : dice.pick(['FAIL', 'RENAME', 'REPLACE']),
      mode: drawMode(dice),
    }
  },
  run: batchMutation('restoreEntries', 'rowsRelinked', ({ rowsRelinked }) => rowsRelinked),
  apply(world, input) {
    if (input.onConflict === 'NEW_VERSION') refuse('INVALID_INPUT')
    const counts: number[] = []
    const act = (id: string) => restore(world, id, input, counts)
    return batchOutcome(world, input, input.entryIds, act, (done) => sumOfDone(done, counts))
  },
  steps: stepsOf('entryIds'),
}

function restore(world: World, id: string, input: Restore, counts: number[]): number {
  const entry = requireTrashed(world, id)
  const from = entry.trashed?.path ?? ''
  const folder = whereTo(world, entry, input.fallbackDestination)
  const { name } = claimName(world, folder, entry.name, input.onConflict)
  moving(world, entry, () => Object.assign(entry, { name, parent: folder.key, trashed: null }))
  if (entry.kind === 'folder') checkPlace(world, entry)
  counts.push(relinkRows(world, entry, from))
  return touch(entry).key
}

function whereTo(world: World, { workspace, trashed }: Entry, fallback: Ref | undefined): Entry {
  const original = world.entries.get(trashed?.parent ?? -1)
  if (original && isLive(world, original)) return original
  if (!fallback) {
    const names = namesOf(trashed?.path ?? '').slice(0, -1)
    return ensureFolders(world, rootOf(world, workspace), names)
  }
  const folder = requireFolder(world, fallback)
  return folder.workspace === workspace ? folder : refuse('INVALID_INPUT')
}

export const restoringOperations: Operation[] = [restoreEntries]
