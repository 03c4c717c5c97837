import { DataStore, Upload } from '@tus/server'
import { declareLength } from '../../domains/uploads/receive/offsets.ts'
import type { UploadRow } from '../../domains/uploads/rules.ts'
import { cancelUpload, expireResource } from '../../domains/uploads/terminate.ts'
import { HttpError } from '../errors.ts'
import { type BodyTimeouts, receiveBody } from './receive-body.ts'
import {
  acquireLease,
  lockedError,
  readAfterWriter,
  requireActive,
  requireConfirmed,
  requireUpload,
  type TusRequestState,
  throwLeaseLost,
} from './request-state.ts'
import { joinedPart, requireLiveFile } from './uploaded-file.ts'

/** Throws 400 if a PATCH declares another length than the upload has, or fewer bytes than it received. */
function assertSameLength({ size, offset }: UploadRow, length: number | null) {
  if (length === null || (size === null ? length >= offset : length === size)) return
  const reason =
    size === null
      ? `the upload has already received ${offset} bytes`
      : `the upload has a length of ${size} bytes, which cannot change`
  throw new HttpError(
    400,
    'BAD_REQUEST',
    `Upload-Length is ${length}, but ${reason}; create another upload for other bytes`,
  )
}

/**
 * The data store of one request of @tus/server: offsets are in the database, bytes in the blob store. Bodies
 * bypass the package: its streams cost a sixth of the throughput, and it abandons an interrupted body before
 * the received bytes are committed.
 */
export class UploadStore extends DataStore {
  override extensions = ['creation', 'creation-with-upload', 'creation-defer-length', 'termination']
  readonly #state: TusRequestState
  readonly #timeouts: BodyTimeouts

  constructor(state: TusRequestState, timeouts: BodyTimeouts) {
    super()
    this.#state = state
    this.#timeouts = timeouts
  }

  override async getUpload(id: string): Promise<Upload> {
    const state = this.#state
    const { ctx, request } = state
    const isPatch = request.method === 'PATCH'
    const row = await (isPatch ? acquireLease : readAfterWriter)(state, id)
    const upload = (!isPatch && (await joinedPart(ctx, row))) || requireActive(row, id, ctx.now())
    if (upload.status === 'COMPLETE') await requireLiveFile(ctx, upload)
    if (isPatch && upload.status === 'PROCESSING')
      throw lockedError('the upload is being confirmed')
    state.upload = upload
    if (isPatch) assertSameLength(upload, request.length)
    if (request.method === 'HEAD') requireConfirmed(upload)
    // A client that retries sends the same Upload-Length again. Null lets @tus/server accept it as a new
    // length.
    const size = isPatch && upload.size === request.length ? null : upload.size
    return new Upload({ id, offset: upload.offset, ...(size !== null && { size }) })
  }

  override async declareUploadLength(_: string, length: number): Promise<void> {
    const state = this.#state
    const upload = requireUpload(state)
    if (upload.size === length) return
    state.upload = (await declareLength(state.ctx, upload, length)) ?? (await throwLeaseLost(state))
  }

  override write(): Promise<number> {
    return receiveBody(this.#state, this.#timeouts)
  }

  override async remove(id: string): Promise<void> {
    const state = this.#state
    const { ctx } = state
    const upload = requireActive(await readAfterWriter(state, id), id, ctx.now())
    if (upload.status === 'PROCESSING') throw lockedError('the upload is being confirmed')
    if (upload.status === 'COMPLETE') return expireResource(ctx, upload)
    await cancelUpload(ctx, id)
  }
}
