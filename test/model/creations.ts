import type { Dice } from '../support/seeded-random.ts'
import { metadata } from '../support/tus.ts'
import { confirmItself } from './confirming.ts'
import { drawContent } from './contents.ts'
import {
  conflicts,
  drawFacts,
  drawId,
  drawName,
  drawWorkspace,
  filesIn,
  foldersIn,
  hasRoom,
} from './draws.ts'
import type { Entry, World } from './model-state.ts'
import { type Answer, type Client, mutation, type Operation } from './operation.ts'
import { attempted } from './refusal.ts'
import { type Creation, insertUpload, openUploads, statusOf } from './uploads.ts'

const MOST_OPEN = 25

function drawUpload(world: World, dice: Dice): Creation | null {
  if (!hasRoom(world, 4) || openUploads(world).length >= MOST_OPEN) return null
  const content = drawContent(dice)
  const workspaceId = drawWorkspace(world, dice)
  const other = drawContent(dice).sha256
  const input = {
    workspaceId,
    ...drawPlace(world, dice, workspaceId),
    name: drawName(dice),
    size: content.size,
    ...(dice.chance(20) && { sha256: dice.chance(80) ? content.sha256 : other }),
    onConflict: dice.pick(conflicts),
    ...drawFacts(dice),
  }
  return { input, content }
}

function drawPlace(world: World, dice: Dice, workspaceId: string) {
  const index = world.workspaces.findIndex(({ id }) => id === workspaceId)
  const near = (list: Entry[]) => list.filter((one) => one.workspace === index || dice.chance(2))
  if (dice.chance(12)) return { versionOf: drawId(world, dice, near(filesIn(world))) }
  return {
    ...(dice.chance(75) && { folderId: drawId(world, dice, near(foldersIn(world))) }),
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
  draw(world, dice) {
    const drawn = drawUpload(world, dice)
    if (!drawn || !dice.chance(15)) return drawn
    return dice.chance(50) ? deferred(world, drawn) : repeatable(drawn, dice)
  },
  run: (client, { input }) => create(client, input),
  apply(world, creation) {
    const upload = insertUpload(world, creation)
    return { code: null, facts: statusOf(upload), is: [upload.key] }
  },
}

/** Only where there is no quota: a deferred length makes room while it is sent. */
function deferred(world: World, { input: { size: _, ...input }, content }: Creation): Creation {
  return { input: { ...input, workspaceId: world.workspaces[0]?.id ?? '' }, content }
}

function repeatable({ input, content }: Creation, dice: Dice): Creation {
  return { input: { ...input, idempotencyKey: `key-${dice.below(40)}` }, content }
}

/** As a plain tus client creates; the last byte confirms. */
const tusCreate: Operation<Creation> = {
  name: 'tusCreate',
  weight: 4,
  draw(world, dice) {
    const drawn = drawUpload(world, dice)
    if (!drawn) return null
    const { metadata: _, ...input } = drawn.input
    return { ...drawn, input: { ...input, name: input.name || 'a' } }
  },
  run: postUpload,
  apply(world, creation) {
    const upload = insertUpload(world, creation, true)
    const { key } = upload
    return { code: confirmItself(world, upload), is: [key] }
  },
  halves(world, creation) {
    const made = structuredClone(world)
    const result = attempted(made, () => insertUpload(made, creation, true))
    return 'done' in result ? [made] : []
  },
}

async function postUpload({ holdall }: Client, { input }: Creation): Promise<Answer> {
  const { name, size, tags, metadata: _, ...rest } = input
  const said = { ...rest, filename: name, confirm: 'auto', ...(tags && { tags: tags.join(',') }) }
  const headers = {
    'Tus-Resumable': '1.0.0',
    'Upload-Metadata': metadata(said),
    'Upload-Length': `${size}`,
  }
  const response = await holdall.http('/uploads', { method: 'POST', headers })
  const code = response.ok ? null : ((await response.json()) as { code: string }).code
  const id = response.headers.get('holdall-upload-id')
  return { code, ids: [id] }
}

export const creationOperations: Operation[] = [createUpload, tusCreate]
