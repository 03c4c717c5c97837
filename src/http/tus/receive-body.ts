import type { IncomingMessage } from 'node:http'
import { requireUnrevoked } from '../../domains/accounts/reads.ts'
import { isShared } from '../../domains/uploads/receive/leases.ts'
import { appendTo, commitFinalOffset, commitOffset } from '../../domains/uploads/receive/offsets.ts'
import { remainingBytes, type UploadRow } from '../../domains/uploads/rules.ts'
import { HttpError } from '../errors.ts'
import {
  acquireLease,
  lockedError,
  requireActive,
  requireStillThere,
  requireUpload,
  type StopReason,
  type TusRequestState,
  throwLeaseLost,
} from './request-state.ts'

/**
 * Takes in the body of a PATCH or POST behind what the upload has; the new offset. What arrives is durable before it is
 * committed, and committed before it is answered; also when the body breaks off, stalls, or has to make way. A PATCH that was
 * not read to its end is 423, with the offset from which to go on.
 */
export async function receiveBody(
  passage: TusRequestState,
  patience: BodyTimeouts,
): Promise<number> {
  const { req, asked, ctx, stop } = passage
  const upload = requireUpload(passage)
  const end = upload.offset + remainingBytes(upload, ctx.limits.maxUploadBytes)
  if (asked.hasBody && (isAllThere(upload) || upload.offset + (asked.contentLength ?? 0) > end)) {
    throw tooMuch()
  }
  if (isAllThere(upload)) return upload.offset
  if (asked.method === 'POST' && asked.hasBody) await holdNew(passage)
  using _ = abortIfIdle(req, stop, patience)
  const options = {
    checksum: asked.checksum,
    signal: stop.signal,
    transferOwnership: true,
    assertWriter: () => requireMine(passage),
    onDurable: (offset: number) => commitUpTo(passage, offset, end),
  }
  const appended = appendTo(ctx, upload, req, options)
  const offset = await appended.catch(async (error) => {
    // What goes wrong because another writes by now, or the upload has ended and its bytes are gone, is no fault.
    requireMine(passage)
    await requireStillThere(passage, upload.id)
    throw error
  })
  // Also where the body had ended before anybody noticed: a revoked token brings no last byte.
  await requireUnrevoked(ctx.db, ctx.viewer)
  if (offset > end) throw tooMuch()
  if (offset > requireUpload(passage).offset || offset === upload.size)
    await commit(passage, offset, commitFinalOffset)
  if (asked.method === 'PATCH' && !req.complete) throw interrupted(stop.signal.reason)
  return offset
}

const isAllThere = ({ status }: UploadRow) => !['CREATED', 'RECEIVING'].includes(status)

/** Its URL is not told before the answer, but others may find it in the list of uploads. */
async function holdNew(passage: TusRequestState) {
  const { ctx } = passage
  if (!isShared(ctx)) return
  const { id } = requireUpload(passage)
  passage.upload = requireActive(await acquireLease(passage, id), id, ctx.now())
}

function requireMine({ hold }: TusRequestState) {
  if (hold && !hold.isMine()) throw lockedError(reasons.lost)
}

/** Not the very last byte: a body that has more than was announced must not make the upload complete. */
async function commitUpTo(passage: TusRequestState, offset: number, end: number) {
  if (offset > end) throw tooMuch()
  if (offset < end) await commit(passage, offset)
}

async function commit(passage: TusRequestState, offset: number, write = commitOffset) {
  const { ctx } = passage
  const upload = requireUpload(passage)
  try {
    passage.upload = (await write(ctx, upload, offset)) ?? (await throwLeaseLost(passage))
  } catch (error) {
    // Another process may have written these bytes since.
    ctx.blobs.invalidateCache?.(upload.id)
    throw error
  }
}

const tooMuch = () =>
  new HttpError(413, 'FILE_TOO_LARGE', 'these are more bytes than the upload may have')

const reasons: Record<StopReason, string> = {
  newer: 'a newer request for this upload has come',
  idle: 'no byte, or next to none, has come for too long',
  closing: 'the server is closing',
  revoked: 'the token was revoked',
  lost: 'whether this request may still write cannot be asked at the moment',
}

function interrupted(reason: StopReason | undefined) {
  const problem = lockedError(reason ? reasons[reason] : 'the body broke off')
  // tus: "A timeout SHOULD be handled by closing the underlying connection."
  if (reason === 'idle') problem.headers.Connection = 'close'
  return problem
}

/** How long a body may bring nothing; and over how long it has to bring LEAST_PER_SECOND, once it has lasted so long. */
export type BodyTimeouts = { idleMs: number; paceMs: number }
/** What a door for bodies bears, where it is not what is usual. */
export type DoorLimits = Partial<BodyTimeouts> & { mostSenders?: number }
export const usualPatience: BodyTimeouts = { idleMs: 60_000, paceMs: 60_000 }

/** Bytes a second, over a minute, that a body has to bring and a client has to take: who does less wants the socket. */
export const LEAST_PER_SECOND = 1024
const LOOKS = 4

/**
 * Aborts `stop` with `idle` when the body brings nothing, or next to nothing, for longer than `patience`. Counted where the kernel
 * hands over bytes, so that no read pays for it; and by looks, not by the clock: a process that stood still has not read either.
 */
export function abortIfIdle(
  { socket }: IncomingMessage,
  stop: AbortController,
  { idleMs, paceMs }: BodyTimeouts,
): Disposable {
  const timers = [wanting(1, idleMs), wanting((LEAST_PER_SECOND * paceMs) / 1000, paceMs)]
  return { [Symbol.dispose]: () => timers.forEach(clearInterval) }

  function wanting(leastBytes: number, withinMs: number) {
    const seen = [socket.bytesRead]
    const look = () => {
      if (seen.push(socket.bytesRead) <= LOOKS) return
      if (socket.bytesRead - (seen.shift() ?? 0) < leastBytes) stop.abort('idle')
    }
    return setInterval(look, withinMs / LOOKS).unref()
  }
}
