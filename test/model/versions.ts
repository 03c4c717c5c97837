import type { Dice } from '../support/seeded-random.ts'
import { filesIn } from './draws.ts'
import { requireRoom } from './figures.ts'
import { bury, type Entry, type Version, type World } from './model-state.ts'
import { mutation, type Operation } from './operation.ts'
import { checkRevision } from './paths.ts'
import { refuse } from './refusal.ts'
import { isLive, touch } from './tree.ts'

/** A file keeps at most so many here. */
const MOST_VERSIONS = 20

type Bytes = Pick<Version, 'size' | 'sha256' | 'comment'>

/** The bytes become the current version of a file. */
export function addVersion(world: World, file: Entry, { size, sha256, comment }: Bytes): Entry {
  requireRoom(world, file.workspace, size)
  const number = (file.versions.at(-1)?.number ?? 0) + 1
  file.versions.push({ key: world.next++, id: null, number, size, sha256, comment })
  return touch(file)
}

const holderOf = (world: World, versionId: string) =>
  [...world.entries.values()].find(({ versions }) => versions.some(({ id }) => id === versionId))

function requireVersion(world: World, versionId: string): { file: Entry; version: Version } {
  const file = holderOf(world, versionId) ?? refuse('NOT_FOUND')
  const version = file.versions.find(({ id }) => id === versionId) ?? refuse('NOT_FOUND')
  return isLive(world, file) ? { file, version } : refuse('INVALID_STATE')
}

/** Of a file with several, as a rule; sometimes of one in the trash. */
function drawVersion(world: World, dice: Dice): string | null {
  const files = dice.chance(90) ? filesIn(world) : [...world.entries.values()]
  const several = files.filter(({ versions }) => versions.length > 1)
  const file = dice.pick(dice.chance(85) ? several : files)
  return (dice.chance(97) ? dice.pick(file?.versions ?? [])?.id : dice.pick(world.gone)) ?? null
}

type RestoreVersion = { versionId: string; comment?: string; expectedRevision?: number }
const restoreVersion: Operation<RestoreVersion> = {
  name: 'restoreVersion',
  weight: 4,
  draw(world, dice) {
    const versionId = drawVersion(world, dice)
    const file = versionId === null ? undefined : holderOf(world, versionId)
    if (versionId === null || (file?.versions.length ?? 0) >= MOST_VERSIONS) return null
    const expectedRevision = (file?.revision ?? 0) + (dice.chance(30) ? 1 : 0)
    return {
      versionId,
      ...(dice.chance(30) && { comment: `again ${dice.below(9)}` }),
      ...(dice.chance(15) && { expectedRevision }),
    }
  },
  run: mutation('restoreVersion', 'file { id revision } version { id number }', (payload) => ({
    facts: [payload.file.revision, payload.version.number],
    ids: [payload.file.id, payload.version.id],
  })),
  apply(world, { versionId, comment = null, ...input }) {
    const { file, version } = requireVersion(world, versionId)
    checkRevision(file, input)
    const { revision, versions } = addVersion(world, file, { ...version, comment })
    const added = versions.at(-1)
    return { code: null, facts: [revision, added?.number], is: [file.key, added?.key ?? null] }
  },
}

const deleteVersion: Operation<{ versionId: string }> = {
  name: 'deleteVersion',
  weight: 4,
  draw(world, dice) {
    const versionId = drawVersion(world, dice)
    return versionId === null ? null : { versionId }
  },
  run: mutation('deleteVersion', 'versionId file { id revision }', ({ versionId, file }) => ({
    facts: [versionId, file.revision],
    ids: [file.id],
  })),
  apply(world, { versionId }) {
    const { file, version } = requireVersion(world, versionId)
    if (version === file.versions.at(-1)) refuse('INVALID_STATE')
    file.versions = file.versions.filter((other) => other !== version)
    bury(world, versionId)
    return { code: null, facts: [versionId, touch(file).revision], is: [file.key] }
  },
}

export const versionOperations: Operation[] = [restoreVersion, deleteVersion]
