import { setTimeout as sleep } from 'node:timers/promises'
import type { Dice } from '../../support/data/seeded-random.ts'
import { tusOf } from '../../support/network/tus.ts'
import { reject } from '../refusal.ts'
import type { Content, Model, Upload } from '../state/model-state.ts'
import { applyAutoConfirm, requireUpload } from './confirming.ts'
import { bytesOf } from './contents.ts'
import { type Answer, type Client, mutation, type Operation } from './operation.ts'
import { openUploads, statusOf } from './uploads.ts'

/** A part of an upload. `length` declares a deferred length. */
type Piece = { uploadId: string; offset: number; bytes: number; length?: number; content: Content }

/** Returns the URL of an upload, which never changes. */
async function urlOf({ holdall, urls }: Client, uploadId: string): Promise<string> {
  const known = urls.get(uploadId)
  if (known) return known
  const query = 'query ($id: ID!) { node(id: $id) { ... on Upload { url } } }'
  const { node } = await holdall.ask(query, { id: uploadId })
  urls.set(uploadId, node.url)
  return node.url
}

/** Retries while the lease of a killed process locks the upload. */
async function retryWhileLocked(send: () => Promise<Response>): Promise<Response> {
  for (let attempt = 1; ; attempt++) {
    const response = await send()
    if (response.status !== 423 || attempt === 20) return response
    await sleep(250)
  }
}

async function toAnswer(response: Response): Promise<Answer> {
  const offset = response.headers.get('upload-offset')
  const text = await response.text()
  const code = response.ok ? null : (JSON.parse(text) as { code: string }).code
  return { code, facts: offset === null ? null : Number(offset) }
}

function drawPiece({ offset, size, content }: Upload, dice: Dice): Omit<Piece, 'uploadId'> {
  const remaining = content.size - offset
  const bytes = dice.chance(65) ? remaining : dice.below(remaining + 1)
  const error = dice.chance(4) ? 1 : 0
  const declaresLength = size === null && (bytes === remaining || dice.chance(20))
  return { offset: offset + error, bytes, content, ...(declaresLength && { length: content.size }) }
}

const sendPiece: Operation<Piece> = {
  name: 'sendPiece',
  weight: 22,
  draw(model, dice) {
    const ended = [...model.uploads.values()].filter((upload) => /FAILED|CANC/.test(upload.status))
    const upload = dice.pick(dice.chance(97) ? openUploads(model) : ended)
    return upload?.id ? { uploadId: upload.id, ...drawPiece(upload, dice) } : null
  },
  async run(client, { uploadId, offset, bytes, length, content }) {
    const url = await urlOf(client, uploadId)
    const body = bytesOf(content).subarray(offset, offset + bytes)
    const headers = { 'Upload-Length': length === undefined ? '' : `${length}` }
    return toAnswer(
      await retryWhileLocked(() => tusOf(client.holdall).patch(url, offset, body, headers)),
    )
  },
  apply(model, piece) {
    const upload = requireUpload(model, piece.uploadId)
    if (upload.status !== 'OPEN') reject('GONE')
    if (upload.offset !== piece.offset) return { code: 'OFFSET_MISMATCH', facts: upload.offset }
    receive(upload, piece, piece.bytes)
    const { offset } = upload
    return { code: applyAutoConfirm(model, upload), facts: offset }
  },
  /** The upload with the received bytes of the snapshot, confirmed or not. */
  partialStates(model, piece, snapshot) {
    const copy = structuredClone(model)
    const upload = requireUpload(copy, piece.uploadId)
    const uploadSnapshot = snapshot.uploads.find(({ id }) => id === piece.uploadId)
    const received = (uploadSnapshot?.offset ?? 0) - upload.offset
    if (upload.status !== 'OPEN' || received < 0 || received > piece.bytes) return []
    receive(
      upload,
      { ...piece, ...(uploadSnapshot?.size == null && { length: undefined }) },
      received,
    )
    return [copy]
  },
}

function receive(upload: Upload, { length }: { length?: number | undefined }, bytes: number) {
  upload.offset += bytes
  if (length !== undefined) upload.size = length
}

const drawEnding = (model: Model, dice: Dice) => {
  const upload = dice.pick(dice.chance(60) ? openUploads(model) : [...model.uploads.values()])
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
  apply(model, { uploadId }) {
    const upload = requireUpload(model, uploadId)
    if (upload.status === 'COMPLETE') reject('INVALID_STATE')
    if (upload.status === 'OPEN') upload.status = 'CANCELED'
    return { code: null, facts: statusOf(upload), keys: [upload.key] }
  },
}

/** tus, termination: a COMPLETE upload loses only its resource, not its file. */
const terminate: Operation<{ uploadId: string }> = {
  name: 'terminate',
  weight: 1,
  draw: (model, dice) => {
    const drawn = drawEnding(model, dice)
    return drawn?.uploadId === 'upl_nothing' ? null : drawn
  },
  async run(client, { uploadId }) {
    const url = await urlOf(client, uploadId)
    return toAnswer(await retryWhileLocked(() => tusOf(client.holdall).terminate(url)))
  },
  apply(model, { uploadId }) {
    const upload = requireUpload(model, uploadId)
    if (upload.isTerminated || /FAILED|CANC/.test(upload.status)) reject('GONE')
    if (upload.status === 'OPEN') upload.status = 'CANCELED'
    else upload.isTerminated = true
    return { code: null, facts: null }
  },
}

export const sendingOperations: Operation[] = [sendPiece, cancelUpload, terminate]
