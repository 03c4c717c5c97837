import type { IncomingMessage } from 'node:http'
import { hasSeveralProcesses } from '../../database/database.ts'
import { requireUnrevoked } from '../../domains/accounts/reads.ts'
import { appendTo, commitFinalOffset, commitOffset } from '../../domains/uploads/receive/offsets.ts'
import { remainingBytes, type UploadRow } from '../../domains/uploads/rules.ts'
import { HttpError } from '../errors.ts'
import { assertNoChecksumTrailer } from './headers.ts'
import {
  acquireLease,
  lockedError,
  requireActive,
  requireStillActive,
  requireUpload,
  type StopReason,
  type TusRequestState,
  throwLeaseLost,
} from './request-state.ts'

/**
 * Appends the body of a PATCH or POST to the upload and returns the new offset. Received bytes are durable
 * before the offset is committed, and the offset is committed before the response is sent, even if the body
 * breaks off, stalls or is aborted. Throws 423 for a PATCH whose body was not read completely; the response
 * has the offset from which to continue. Throws 413 for a body that exceeds the length of the upload.
 */
export async function receiveBody(state: TusRequestState, timeouts: BodyTimeouts): Promise<number> {
  const { req, request, ctx, stop } = state
  const upload = requireUpload(state)
  const end = upload.offset + remainingBytes(upload, ctx.limits.maxUploadBytes)
  if (
    request.hasBody &&
    (hasAllBytes(upload) || upload.offset + (request.contentLength ?? 0) > end)
  ) {
    throw tooLarge(end)
  }
  if (hasAllBytes(upload)) return upload.offset
  if (request.method === 'POST' && request.hasBody) await acquireLeaseOfNew(state)
  using _ = abortIfIdle(req, stop, timeouts)
  const options = {
    checksum: request.checksum,
    signal: stop.signal,
    transferOwnership: true,
    assertWriter: () => assertLease(state),
    onDurable: (offset: number) => commitUpTo(state, offset, end),
  }
  const appending = appendTo(ctx, upload, req, options)
  const offset = await appending.catch(async (error) => {
    // An error after the lease was lost or the upload has ended is expected, so it is replaced by 423 or 410.
    assertLease(state)
    await requireStillActive(state, upload.id)
    throw error
  })
  // Checked again, because the body may end between two checks of the watch: a revoked token commits no
  // last byte.
  await requireUnrevoked(ctx.db, ctx.viewer)
  assertNoChecksumTrailer(req)
  if (offset > end) throw tooLarge(end)
  if (offset > requireUpload(state).offset || offset === upload.size)
    await commit(state, offset, commitFinalOffset)
  if (request.method === 'PATCH' && !req.complete) throw interrupted(stop.signal.reason)
  return offset
}

const hasAllBytes = ({ status }: UploadRow) => !['CREATED', 'RECEIVING'].includes(status)

/**
 * Acquires the lease of a new upload, because other clients may find the upload in a list before the response
 * is sent.
 */
async function acquireLeaseOfNew(state: TusRequestState) {
  const { ctx } = state
  if (!hasSeveralProcesses(ctx.db)) return
  const { id } = requireUpload(state)
  state.upload = requireActive(await acquireLease(state, id), id, ctx.now())
}

function assertLease({ lease }: TusRequestState) {
  if (lease && !lease.isMine()) throw lockedError(reasons.lost)
}

/** Commits any offset but the last, because a body longer than announced must not complete the upload. */
async function commitUpTo(state: TusRequestState, offset: number, end: number) {
  if (offset > end) throw tooLarge(end)
  if (offset < end) await commit(state, offset)
}

async function commit(state: TusRequestState, offset: number, write = commitOffset) {
  const { ctx } = state
  const upload = requireUpload(state)
  try {
    state.upload = (await write(ctx, upload, offset)) ?? (await throwLeaseLost(state))
  } catch (error) {
    // Another process may have written these bytes since.
    ctx.blobs.invalidateCache?.(upload.id)
    throw error
  }
}

const tooLarge = (end: number) =>
  new HttpError(413, 'FILE_TOO_LARGE', `the body exceeds the length of the upload (${end} bytes)`)

const reasons: Record<StopReason, string> = {
  newer: 'a newer request for this upload has arrived',
  idle: 'the body is too slow or has stalled',
  closing: 'the server is shutting down',
  revoked: 'the token was revoked',
  lost: 'the write lease of this request cannot be verified at the moment',
}

function interrupted(reason: StopReason | undefined) {
  const error = lockedError(reason ? reasons[reason] : 'the body broke off')
  // tus: "A timeout SHOULD be handled by closing the underlying connection."
  if (reason === 'idle') error.headers.Connection = 'close'
  return error
}

/** `idleMs`: maximum time without a byte. `paceMs`: period of the minimum rate MIN_BYTES_PER_SECOND. */
export type BodyTimeouts = { idleMs: number; paceMs: number }
/** Limits of a route that receives bodies, where they differ from the defaults. */
export type BodyLimits = Partial<BodyTimeouts> & { maxBodiesPerUser?: number }
/** Default timeouts of request bodies. */
export const defaultBodyTimeouts: BodyTimeouts = { idleMs: 60_000, paceMs: 60_000 }

/** Minimum rate of request bodies and of clients that read responses. Slower clients only occupy sockets. */
export const MIN_BYTES_PER_SECOND = 1024
const SAMPLES_PER_PERIOD = 4

/**
 * Aborts `stop` with `idle` when the body stalls or falls below the minimum rate, until the returned object
 * is disposed. Reads the byte counter of the socket, so that reads cost nothing extra. Counts samples
 * instead of elapsed time, because a process that was suspended has not read either.
 */
export function abortIfIdle(
  { socket }: IncomingMessage,
  stop: AbortController,
  { idleMs, paceMs }: BodyTimeouts,
): Disposable {
  const timers = [
    requireBytes(1, idleMs),
    requireBytes((MIN_BYTES_PER_SECOND * paceMs) / 1000, paceMs),
  ]
  return { [Symbol.dispose]: () => timers.forEach(clearInterval) }

  function requireBytes(minBytes: number, periodMs: number) {
    const samples = [socket.bytesRead]
    const sample = () => {
      if (samples.push(socket.bytesRead) <= SAMPLES_PER_PERIOD) return
      if (socket.bytesRead - (samples.shift() ?? 0) < minBytes) stop.abort('idle')
    }
    return setInterval(sample, periodMs / SAMPLES_PER_PERIOD).unref()
  }
}
