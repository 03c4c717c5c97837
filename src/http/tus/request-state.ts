import { AsyncLocalStorage } from 'node:async_hooks'
import type { IncomingMessage } from 'node:http'
import type { ServiceContext } from '../../context.ts'
import { uploadById } from '../../domains/uploads/reads.ts'
import {
  acquireWriteLease,
  preemptWriter,
  type WriteLease,
} from '../../domains/uploads/receive/leases.ts'
import {
  confirmsItself,
  isTerminal,
  statusAt,
  type UploadRow,
} from '../../domains/uploads/rules.ts'
import { deleteBytes } from '../../domains/uploads/terminate.ts'
import { NotFound, UploadExpired } from '../../errors.ts'
import { HttpError } from '../errors.ts'
import type { TusRequest } from './headers.ts'

/**
 * Why a request stops reading before its body ends: a newer one has come, no byte did or too few, the house closes, what it
 * may do is not known, since the database is out of reach, or its token was revoked.
 */
export type StopReason = 'newer' | 'idle' | 'closing' | 'lost' | 'revoked'

/** One request on its way through @tus/server, which tells its store and locker of neither request nor viewer. */
export type TusRequestState = {
  req: IncomingMessage
  asked: TusRequest
  ctx: ServiceContext
  /** As this request last read or wrote it; null before, and where it is not there (any more). */
  upload: UploadRow | null
  /** Once it is the one that writes. */
  hold: WriteLease | null
  /** Aborted with a StopReason. */
  stop: AbortController
  /** What a handler threw. */
  problem: unknown
}

const passages = new AsyncLocalStorage<TusRequestState>()

export const runWithState = <T>(passage: TusRequestState, act: () => Promise<T>) =>
  passages.run(passage, act)

export function currentPassage(): TusRequestState {
  const passage = passages.getStore()
  if (!passage) throw new Error('this is not on the way through the uploads door')
  return passage
}

export function requireUpload({ upload }: TusRequestState): UploadRow {
  if (!upload) throw new Error('no upload has been read yet')
  return upload
}

/** Something else is being done with the upload. tus-js-client asks again after a 423, and gives up after a 5xx or 429. */
export const lockedError = (message: string) =>
  new HttpError(423, 'LOCKED', message, { 'Retry-After': '1' })

/** Makes this request the one that writes to the upload; its row. Throws busy. */
export async function acquireLease(
  passage: TusRequestState,
  id: string,
): Promise<UploadRow | null> {
  passage.hold = await acquireWriteLease(passage.ctx, id, passage.stop)
  if (!passage.hold) throw lockedError('another request for this upload has not ended yet')
  return passage.hold.upload
}

/** The row of the upload, once whoever wrote to it has ended. Throws busy. */
export async function readAfterWriter(
  { ctx, stop }: TusRequestState,
  id: string,
): Promise<UploadRow | null> {
  const ended = await preemptWriter(ctx, id, stop)
  if (!ended) throw lockedError('another request for this upload has not ended yet')
  return ended.upload
}

/** tus: 404, or 410 where it is known that the upload was there. */
export function requireActive(upload: UploadRow | null, id: string, now: number): UploadRow {
  if (!upload) throw new NotFound(id)
  const status = statusAt(upload, now)
  if (status === 'EXPIRED') throw new UploadExpired(upload.expiresAt)
  if (status === 'CANCELED') throw new HttpError(410, 'GONE', 'the upload was cancelled')
  if (status === 'FAILED') throw new HttpError(410, 'GONE', 'the upload has failed')
  if (status === 'COMPLETE' && upload.expiresAt <= now) {
    throw new HttpError(410, 'GONE', 'the upload has become a file')
  }
  return upload
}

/**
 * A client that learns that all bytes are there reports success, so an upload that confirms itself does not say so before it is a file:
 * 423 while its confirm is to come, which tus-js-client waits for; 410 once it was refused.
 */
export function requireConfirmed(upload: UploadRow | null): void {
  if (upload?.autoConfirm !== 1) return
  if (confirmsItself(upload))
    throw lockedError('the upload has all its bytes and is becoming a file')
  if (upload.status !== 'RECEIVED') return
  throw new HttpError(410, 'GONE', `the confirm was refused: ${upload.confirmRefusal}`)
}

/** Asked anew by a request that has written: what came after an upload has ended goes the way of what came before. */
export async function requireStillThere({ ctx }: TusRequestState, id: string): Promise<UploadRow> {
  const { db, blobs, now } = ctx
  const upload = await uploadById(db, id)
  if (upload && isTerminal(upload.status) && upload.status !== 'COMPLETE')
    await deleteBytes(blobs, id)
  return requireActive(upload, id, now())
}

/** For when a write under the fence has changed nothing: the upload is gone, or another request has it. */
export async function throwLeaseLost(passage: TusRequestState): Promise<never> {
  const { id } = requireUpload(passage)
  passage.upload = null
  passage.upload = await requireStillThere(passage, id)
  throw lockedError('another request has taken this upload over')
}
