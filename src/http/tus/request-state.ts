import type { IncomingMessage } from 'node:http'
import type { ServiceContext } from '../../context.ts'
import { uploadById } from '../../domains/uploads/reads.ts'
import {
  acquireWriteLease,
  preemptWriter,
  type WriteLease,
} from '../../domains/uploads/receive/leases.ts'
import {
  isAutoConfirming,
  isConcatenating,
  isTerminal,
  statusAt,
  type UploadRow,
} from '../../domains/uploads/rules.ts'
import { deleteBytes } from '../../domains/uploads/terminate.ts'
import { NotFound } from '../../errors/access.ts'
import { UploadExpired } from '../../errors/uploads.ts'
import { HttpError } from '../errors.ts'
import type { TusRequest } from './headers.ts'

/**
 * Why a request stops reading its body: a newer request for the upload, a stalled body, the shutdown of the
 * server, a write lease that cannot be verified because the database is unreachable, or a revoked token.
 */
export type StopReason = 'newer' | 'idle' | 'closing' | 'lost' | 'revoked'

/** The state of one request. The data store and locker of the request share it. */
export type TusRequestState = {
  req: IncomingMessage
  request: TusRequest
  ctx: ServiceContext
  /** The row as this request last read or wrote it; null before that, and if the upload does not exist. */
  upload: UploadRow | null
  /** The write lease, once acquired. */
  lease: WriteLease | null
  /** Aborted with a StopReason. */
  stop: AbortController
  /** The error that a handler threw. */
  error: unknown
}

/** Returns the row of the current upload. Throws if none has been read yet. */
export function requireUpload({ upload }: TusRequestState): UploadRow {
  if (!upload) throw new Error('no upload has been read yet')
  return upload
}

/** Returns a 423 error, after which tus-js-client retries. It gives up after 5xx and 429. */
export const lockedError = (message: string) =>
  new HttpError(423, 'LOCKED', message, { 'Retry-After': '1' })

/** Acquires the write lease of the upload and returns its row. Throws 423 if another request has it. */
export async function acquireLease(state: TusRequestState, id: string): Promise<UploadRow | null> {
  state.lease = await acquireWriteLease(state.ctx, id, state.stop)
  if (!state.lease) throw lockedError('another request for this upload is still running')
  return state.lease.upload
}

/**
 * Stops the writer of the upload and returns the row. Throws 423 if it does not end in time. HEAD does not
 * stop a concatenation, which a client that polls would otherwise prevent.
 */
export async function readAfterWriter(
  { ctx, request, stop }: TusRequestState,
  id: string,
): Promise<UploadRow | null> {
  const upload = request.method === 'HEAD' ? await uploadById(ctx.db, id) : null
  if (upload && isConcatenating(upload)) return upload
  const preempted = await preemptWriter(ctx, id, stop)
  if (!preempted) throw lockedError('another request for this upload is still running')
  return preempted.upload
}

/** Returns the upload if it is active. Throws 404 if it does not exist and 410 if it has ended or expired. */
export function requireActive(upload: UploadRow | null, id: string, now: number): UploadRow {
  if (!upload) throw new NotFound(id)
  const status = statusAt(upload, now)
  if (status === 'EXPIRED') throw new UploadExpired(upload.expiresAt)
  if (status === 'CANCELED') throw new HttpError(410, 'GONE', 'the upload was canceled')
  if (status === 'FAILED') throw new HttpError(410, 'GONE', 'the upload has failed')
  if (status === 'COMPLETE' && upload.expiresAt <= now) {
    throw new HttpError(410, 'GONE', 'the upload has become a file')
  }
  return upload
}

/**
 * Throws HttpError while an upload with auto-confirm has all its bytes but is not a file yet, because
 * clients report success as soon as HEAD returns the full offset: 423 while the confirm is pending, for
 * which tus-js-client waits, and 410 once it was refused.
 */
export function requireConfirmed(upload: UploadRow | null): void {
  if (upload?.autoConfirm !== 1) return
  if (isAutoConfirming(upload))
    throw lockedError('the upload has all its bytes and is becoming a file')
  if (upload.status !== 'RECEIVED') return
  throw new HttpError(410, 'GONE', `the confirm was refused: ${upload.confirmRefusal}`)
}

/** Reads the upload again after a write. Throws if it has ended, and then deletes its bytes. */
export async function requireStillActive({ ctx }: TusRequestState, id: string): Promise<UploadRow> {
  const { db, blobs, now } = ctx
  const upload = await uploadById(db, id)
  if (upload && isTerminal(upload.status) && upload.status !== 'COMPLETE')
    await deleteBytes(blobs, id)
  return requireActive(upload, id, now())
}

/** Throws the reason why a write changed no row: the upload has ended, or its lease is lost. */
export async function throwLeaseLost(state: TusRequestState): Promise<never> {
  const { id } = requireUpload(state)
  state.upload = null
  state.upload = await requireStillActive(state, id)
  throw lockedError('another request has taken over this upload')
}
