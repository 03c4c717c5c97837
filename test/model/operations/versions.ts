import type { Dice } from '../../support/data/seeded-random.ts'
import { filesIn } from '../draws.ts'
import { requireRoom } from '../figures.ts'
import { reject } from '../refusal.ts'
import { type Entry, type Model, recordDeleted, type Version } from '../state/model-state.ts'
import { checkRevision } from '../state/paths.ts'
import { isLive, touch } from '../state/tree.ts'
import { mutation, type Operation } from './operation.ts'

/** Maximum number of versions of a file. */
const MAX_VERSION_COUNT = 20

type Bytes = Pick<Version, 'size' | 'sha256' | 'comment'>

/** Adds a current version to a file. */
export function addVersion(model: Model, file: Entry, { size, sha256, comment }: Bytes): Entry {
  requireRoom(model, file.workspace, size)
  const number = (file.versions.at(-1)?.number ?? 0) + 1
  file.versions.push({ key: model.next++, id: null, number, size, sha256, comment })
  return touch(file)
}

const fileOfVersion = (model: Model, versionId: string) =>
  [...model.entries.values()].find(({ versions }) => versions.some(({ id }) => id === versionId))

function requireVersion(model: Model, versionId: string): { file: Entry; version: Version } {
  const file = fileOfVersion(model, versionId) ?? reject('NOT_FOUND')
  const version = file.versions.find(({ id }) => id === versionId) ?? reject('NOT_FOUND')
  return isLive(model, file) ? { file, version } : reject('INVALID_STATE')
}

/** Draws a version, mostly of a file with several, sometimes of a trashed file. */
function drawVersion(model: Model, dice: Dice): string | null {
  const files = dice.chance(90) ? filesIn(model) : [...model.entries.values()]
  const several = files.filter(({ versions }) => versions.length > 1)
  const file = dice.pick(dice.chance(85) ? several : files)
  return (
    (dice.chance(97) ? dice.pick(file?.versions ?? [])?.id : dice.pick(model.deletedIds)) ?? null
  )
}

type RestoreVersion = { versionId: string; comment?: string; expectedRevision?: number }
const restoreVersion: Operation<RestoreVersion> = {
  name: 'restoreVersion',
  weight: 4,
  draw(model, dice) {
    const versionId = drawVersion(model, dice)
    const file = versionId === null ? undefined : fileOfVersion(model, versionId)
    if (versionId === null || (file?.versions.length ?? 0) >= MAX_VERSION_COUNT) return null
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
  apply(model, { versionId, comment = null, ...input }) {
    const { file, version } = requireVersion(model, versionId)
    checkRevision(file, input)
    const { revision, versions } = addVersion(model, file, { ...version, comment })
    const added = versions.at(-1)
    return { code: null, facts: [revision, added?.number], keys: [file.key, added?.key ?? null] }
  },
}

const deleteVersion: Operation<{ versionId: string }> = {
  name: 'deleteVersion',
  weight: 4,
  draw(model, dice) {
    const versionId = drawVersion(model, dice)
    return versionId === null ? null : { versionId }
  },
  run: mutation('deleteVersion', 'versionId file { id revision }', ({ versionId, file }) => ({
    facts: [versionId, file.revision],
    ids: [file.id],
  })),
  apply(model, { versionId }) {
    const { file, version } = requireVersion(model, versionId)
    if (version === file.versions.at(-1)) reject('INVALID_STATE')
    file.versions = file.versions.filter((other) => other !== version)
    recordDeleted(model, versionId)
    return { code: null, facts: [versionId, touch(file).revision], keys: [file.key] }
  },
}

export const versionOperations: Operation[] = [restoreVersion, deleteVersion]
