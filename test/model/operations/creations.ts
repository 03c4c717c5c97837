import type { Dice } from '../../support/data/seeded-random.ts'
import { metadata } from '../../support/network/tus.ts'
import {
  conflicts,
  drawFacts,
  drawId,
  drawName,
  drawWorkspace,
  filesIn,
  foldersIn,
  hasRoom,
} from '../draws.ts'
import { tryInModel } from '../refusal.ts'
import type { Entry, Model } from '../state/model-state.ts'
import { applyAutoConfirm } from './confirming.ts'
import { drawContent } from './contents.ts'
import { type Answer, type Client, mutation, type Operation } from './operation.ts'
import { type Creation, insertUpload, openUploads, statusOf } from './uploads.ts'

const MAX_OPEN_UPLOAD_COUNT = 25

function drawUpload(model: Model, dice: Dice): Creation | null {
  if (!hasRoom(model, 4) || openUploads(model).length >= MAX_OPEN_UPLOAD_COUNT) return null
  const content = drawContent(dice)
  const workspaceId = drawWorkspace(model, dice)
  const other = drawContent(dice).sha256
  const input = {
    workspaceId,
    ...drawDestination(model, dice, workspaceId),
    name: drawName(dice),
    size: content.size,
    ...(dice.chance(20) && { sha256: dice.chance(80) ? content.sha256 : other }),
    onConflict: dice.pick(conflicts),
    ...drawFacts(dice),
  }
  return { input, content }
}

function drawDestination(model: Model, dice: Dice, workspaceId: string) {
  const index = model.workspaces.findIndex(({ id }) => id === workspaceId)
  const near = (list: Entry[]) => list.filter((one) => one.workspace === index || dice.chance(2))
  if (dice.chance(12)) return { versionOf: drawId(model, dice, near(filesIn(model))) }
  return {
    ...(dice.chance(75) && { folderId: drawId(model, dice, near(foldersIn(model))) }),
    ...(dice.chance(30) && { path: dice.pick(['raw', 'raw/2025', 'a/b', 'A', 'b.txt', 'x//y']) }),
  }
}

const create = mutation('createUpload', 'upload { id status }', ({ upload }) => ({
  facts: upload.status,
  ids: [upload.id],
}))

const createUpload: Operation<Creation> = {
  name: 'createUpload',
  weight: 15,
  draw(model, dice) {
    const drawn = drawUpload(model, dice)
    if (!drawn || !dice.chance(15)) return drawn
    return dice.chance(50) ? deferred(model, drawn) : repeatable(drawn, dice)
  },
  run: (client, { input }) => create(client, input),
  apply(model, creation) {
    const upload = insertUpload(model, creation)
    return { code: null, facts: statusOf(upload), keys: [upload.key] }
  },
}

/** Uses the workspace without a quota, because a deferred upload reserves its space while it is sent. */
function deferred(model: Model, { input: { size: _, ...input }, content }: Creation): Creation {
  return { input: { ...input, workspaceId: model.workspaces[0]?.id ?? '' }, content }
}

function repeatable({ input, content }: Creation, dice: Dice): Creation {
  return { input: { ...input, idempotencyKey: `key-${dice.below(40)}` }, content }
}

/** Creates an upload as a plain tus client does, with auto-confirm. */
const tusCreate: Operation<Creation> = {
  name: 'tusCreate',
  weight: 4,
  draw(model, dice) {
    const drawn = drawUpload(model, dice)
    if (!drawn) return null
    const { metadata: _, ...input } = drawn.input
    return { ...drawn, input: { ...input, name: input.name || 'a' } }
  },
  run: postUpload,
  apply(model, creation) {
    const upload = insertUpload(model, creation, true)
    const { key } = upload
    return { code: applyAutoConfirm(model, upload), keys: [key] }
  },
  partialStates(model, creation) {
    const copy = structuredClone(model)
    const result = tryInModel(copy, () => insertUpload(copy, creation, true))
    return 'done' in result ? [copy] : []
  },
}

async function postUpload({ holdall }: Client, { input }: Creation): Promise<Answer> {
  const { name, size, tags, metadata: _, ...rest } = input
  const fields = { ...rest, filename: name, confirm: 'auto', ...(tags && { tags: tags.join(',') }) }
  const headers = {
    'Tus-Resumable': '1.0.0',
    'Upload-Metadata': metadata(fields),
    'Upload-Length': `${size}`,
  }
  const response = await holdall.http('/uploads', { method: 'POST', headers })
  const code = response.ok ? null : ((await response.json()) as { code: string }).code
  const id = response.headers.get('holdall-upload-id')
  return { code, ids: [id] }
}

export const creationOperations: Operation[] = [createUpload, tusCreate]
