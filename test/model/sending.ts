import { setTimeout as sleep } from 'node:timers/promises'
import type { Dice } from '../support/seeded-random.ts'
import { tusOf } from '../support/tus.ts'
import { confirmItself, requireUpload } from './confirming.ts'
import { bytesOf } from './contents.ts'
import type { Content, Upload, World } from './model-state.ts'
import { type Answer, type Client, mutation, type Operation } from './operation.ts'
import { refuse } from './refusal.ts'
import { openUploads, statusOf } from './uploads.ts'

/** A piece of an upload; `length` says how long the whole is to be, where that was deferred. */
type Piece = { uploadId: string; offset: number; bytes: number; length?: number; content: Content }

/** Where the bytes of an upload go: told once, it stays. */
async function urlOf({ holdall, addresses }: Client, uploadId: string): Promise<string> {
  const known = addresses.get(uploadId)
  if (known) return known
  const query = 'query ($id: ID!) { node(id: $id) { ... on Upload { url } } }'
  const { node } = await holdall.ask(query, { id: uploadId })
  addresses.set(uploadId, node.url)
  return node.url
}

/** A lease that outlives its process keeps others waiting for a moment. */
async function patiently(act: () => Promise<Response>): Promise<Response> {
  for (let tries = 1; ; tries++) {
    const response = await act()
    if (response.status !== 423 || tries === 20) return response
    await sleep(250)
  }
}

async function asAnswer(response: Response): Promise<Answer> {
  const offset = response.headers.get('upload-offset')
  const text = await response.text()
  const code = response.ok ? null : (JSON.parse(text) as { code: string }).code
  return { code, facts: offset === null ? null : Number(offset) }
}

function drawPiece({ offset, size, content }: Upload, dice: Dice): Omit<Piece, 'uploadId'> {
  const left = content.size - offset
  const bytes = dice.chance(65) ? left : dice.below(left + 1)
  const wrong = dice.chance(4) ? 1 : 0
  const declares = size === null && (bytes === left || dice.chance(20))
  return { offset: offset + wrong, bytes, content, ...(declares && { length: content.size }) }
}

const sendPiece: Operation<Piece> = {
  name: 'sendPiece',
  weight: 22,
  draw(world, dice) {
    const ended = [...world.uploads.values()].filter((upload) => /FAILED|CANC/.test(upload.status))
    const upload = dice.pick(dice.chance(97) ? openUploads(world) : ended)
    return upload?.id ? { uploadId: upload.id, ...drawPiece(upload, dice) } : null
  },
  async run(client, { uploadId, offset, bytes, length, content }) {
    const url = await urlOf(client, uploadId)
    const body = bytesOf(content).subarray(offset, offset + bytes)
    const headers = { 'Upload-Length': length === undefined ? '' : `${length}` }
    return asAnswer(await patiently(() => tusOf(client.holdall).patch(url, offset, body, headers)))
  },
  apply(world, piece) {
    const upload = requireUpload(world, piece.uploadId)
    if (upload.status !== 'OPEN') refuse('GONE')
    if (upload.offset !== piece.offset) return { code: 'OFFSET_MISMATCH', facts: upload.offset }
    arrive(upload, piece, piece.bytes)
    const { offset } = upload
    return { code: confirmItself(world, upload), facts: offset }
  },
  /** So many bytes as are seen to have come; then it may have been confirmed or not. */
  halves(world, piece, seen) {
    const made = structuredClone(world)
    const upload = requireUpload(made, piece.uploadId)
    const there = seen.uploads.find(({ id }) => id === piece.uploadId)
    const come = (there?.offset ?? 0) - upload.offset
    if (upload.status !== 'OPEN' || come < 0 || come > piece.bytes) return []
    arrive(upload, { ...piece, ...(there?.size == null && { length: undefined }) }, come)
    return [made]
  },
}

function arrive(upload: Upload, { length }: { length?: number | undefined }, bytes: number) {
  upload.offset += bytes
  if (length !== undefined) upload.size = length
}

const drawEnding = (world: World, dice: Dice) => {
  const upload = dice.pick(dice.chance(60) ? openUploads(world) : [...world.uploads.values()])
  const id = dice.chance(97) ? upload?.id : 'upl_nothing'
  return id ? { uploadId: id } : null
}

const cancelUpload: Operation<{ uploadId: string }> = {
  name: 'cancelUpload',
  weight: 4,
  draw: drawEnding,
  run: mutation('cancelUpload', 'upload { id status }', ({ upload }) => ({
    facts: upload.status,
    ids: [upload.id],
  })),
  apply(world, { uploadId }) {
    const upload = requireUpload(world, uploadId)
    if (upload.status === 'COMPLETE') refuse('INVALID_STATE')
    if (upload.status === 'OPEN') upload.status = 'CANCELED'
    return { code: null, facts: statusOf(upload), is: [upload.key] }
  },
}

/** tus, termination: of a file that came of it only the resource goes. */
const terminate: Operation<{ uploadId: string }> = {
  name: 'terminate',
  weight: 1,
  draw: (world, dice) => {
    const drawn = drawEnding(world, dice)
    return drawn?.uploadId === 'upl_nothing' ? null : drawn
  },
  async run(client, { uploadId }) {
    const url = await urlOf(client, uploadId)
    return asAnswer(await patiently(() => tusOf(client.holdall).terminate(url)))
  },
  apply(world, { uploadId }) {
    const upload = requireUpload(world, uploadId)
    if (upload.forgotten || /FAILED|CANC/.test(upload.status)) refuse('GONE')
    if (upload.status === 'OPEN') upload.status = 'CANCELED'
    else upload.forgotten = true
    return { code: null, facts: null }
  },
}

export const sendingOperations: Operation[] = [sendPiece, cancelUpload, terminate]
