import { DataStore, Upload } from '@tus/server'
import { declareLength } from '../../domains/uploads/receive/offsets.ts'
import { cancelUpload, expireResource } from '../../domains/uploads/terminate.ts'
import { type BodyTimeouts, receiveBody } from './receive-body.ts'
import {
  acquireLease,
  currentPassage,
  lockedError,
  readAfterWriter,
  requireActive,
  requireConfirmed,
  requireUpload,
  throwLeaseLost,
} from './request-state.ts'

/**
 * Where @tus/server finds its uploads: the offsets in the rows, the bytes in the blobs. Bodies do not go through the package: its
 * stream hops cost a sixth of the speed, and it gives up on a body that breaks before what arrived is written down.
 */
export class UploadStore extends DataStore {
  override extensions = ['creation', 'creation-with-upload', 'creation-defer-length', 'termination']
  readonly #patience: BodyTimeouts

  constructor(patience: BodyTimeouts) {
    super()
    this.#patience = patience
  }

  override async getUpload(id: string): Promise<Upload> {
    const passage = currentPassage()
    const { ctx, asked } = passage
    const patches = asked.method === 'PATCH'
    const found = await (patches ? acquireLease : readAfterWriter)(passage, id)
    const upload = requireActive(found, id, ctx.now())
    if (patches && upload.status === 'PROCESSING')
      throw lockedError('the upload is being confirmed')
    passage.upload = upload
    if (asked.method === 'HEAD') requireConfirmed(upload)
    // Said once more, as by a client that tries again, the length is not changed: @tus/server may take it for new.
    const size = patches && upload.size === asked.length ? null : upload.size
    return new Upload({ id, offset: upload.offset, ...(size !== null && { size }) })
  }

  override async declareUploadLength(_: string, length: number): Promise<void> {
    const passage = currentPassage()
    const upload = requireUpload(passage)
    if (upload.size === length) return
    passage.upload =
      (await declareLength(passage.ctx, upload, length)) ?? (await throwLeaseLost(passage))
  }

  override write(): Promise<number> {
    return receiveBody(currentPassage(), this.#patience)
  }

  override async remove(id: string): Promise<void> {
    const passage = currentPassage()
    const { ctx } = passage
    const upload = requireActive(await readAfterWriter(passage, id), id, ctx.now())
    if (upload.status === 'PROCESSING') throw lockedError('the upload is being confirmed')
    if (upload.status === 'COMPLETE') return expireResource(ctx, upload)
    await cancelUpload(ctx, id)
  }
}
