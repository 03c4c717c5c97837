import type { IncomingMessage } from 'node:http'
import type { App } from '../../app.ts'
import type { ServiceContext } from '../../context.ts'
import { asCreator, requireUnrevokedCreator } from '../../domains/uploads/creator.ts'
import { putIdOf, uploadById } from '../../domains/uploads/reads.ts'
import { acquireWriteLease } from '../../domains/uploads/receive/leases.ts'
import { appendTo, commitFinalOffset, commitOffset } from '../../domains/uploads/receive/offsets.ts'
import { statusesBefore, type UploadRow } from '../../domains/uploads/rules.ts'
import { NotFound } from '../../errors/access.ts'
import { InvalidState } from '../../errors/entries.ts'
import { HttpError } from '../errors.ts'
import type { Handler } from '../request-context.ts'
import { createUploadLocks, createWaiter } from '../tus/locker.ts'
import type { BodyLimits } from '../tus/receive-body.ts'
import { lockedError, requireActive } from '../tus/request-state.ts'
import { createBodyHandler } from './body-handler.ts'

/**
 * Creates the handler of PUT /uploads/put/…, which receives the whole body of a SIGNED_PUT upload from any
 * client that has the URL. The body is stored completely or not at all: an interrupted PUT starts again at
 * 0, and a newer request aborts an older one.
 */
export function createSignedPutHandler(app: App, limits: BodyLimits = {}): Handler {
  const locks = createUploadLocks()
  return createBodyHandler(app, limits, async (req, res, { publicUrl, guard }) => {
    const ctx = await app.contextFor(undefined, publicUrl)
    const row = await requirePut(ctx, req)
    guard.admit(row.createdBy, res)
    const stop = new AbortController()
    const waiter = createWaiter(stop)
    await locks.acquire(row.id, waiter)
    try {
      using _ = guard.watch(req, stop, row.tokenId ?? '')
      const upload = await receiveWithLease(await asCreator(ctx, row), req, row.id, stop)
      const headers = { 'Holdall-Upload-Id': upload.id, 'Holdall-Upload-Status': upload.status }
      res.writeHead(204, { ...headers, 'Cache-Control': 'no-store' }).end()
    } finally {
      locks.release(row.id, waiter)
    }
  })
}

/**
 * Returns the upload of the URL. Throws 404 for an unsigned key, and 400 or 413 for a body of the wrong
 * length.
 */
async function requirePut(ctx: ServiceContext, req: IncomingMessage): Promise<UploadRow> {
  const [, key = ''] = /^\/uploads\/put\/([^?]*)/.exec(req.url ?? '') ?? []
  const id = putIdOf(ctx.signingKeys, key)
  if (!id) throw new NotFound(key, 'the upload does not exist')
  const upload = requireActive(await uploadById(ctx.db, id), id, ctx.now())
  if (upload.transport !== 'SIGNED_PUT') throw new NotFound(key, 'the upload does not exist')
  assertContentLength(req, sizeOf(upload))
  return upload
}

/** The size of a SIGNED_PUT upload is never null, because createUpload requires it. */
const sizeOf = ({ size }: UploadRow) => size ?? 0

function assertContentLength({ headers }: IncomingMessage, size: number) {
  // RFC 9110, section 14.5: a PUT with Content-Range that cannot be a part is 400.
  if (headers['content-range'])
    throw badRequest('Content-Range is not supported; send the whole body')
  const length = headers['content-length']
  if (length === undefined && headers['transfer-encoding'] !== undefined) return
  assertSize(Number(length ?? 0), size)
}

function assertSize(length: number, size: number) {
  if (length > size)
    throw new HttpError(
      413,
      'FILE_TOO_LARGE',
      `the body exceeds the size of the upload (${size} bytes)`,
    )
  if (length < size)
    throw badRequest(`the body has ${length} bytes, but the upload has a size of ${size} bytes`)
}

const badRequest = (message: string) => new HttpError(400, 'BAD_REQUEST', message)

async function receiveWithLease(
  ctx: ServiceContext,
  req: IncomingMessage,
  id: string,
  stop: AbortController,
) {
  const lease = (await acquireWriteLease(ctx, id, stop)) ?? throwTakenOver()
  let result: UploadRow | null = null
  try {
    result = await receiveBody(ctx, req, requireActive(lease.upload, id, ctx.now()), {
      signal: stop.signal,
      assertWriter: () => lease.isMine() || throwTakenOver(),
    })
    return result
  } finally {
    await lease.release(result)
  }
}

type ReceiveOptions = { signal: AbortSignal; assertWriter: () => void }

async function receiveBody(
  ctx: ServiceContext,
  req: IncomingMessage,
  initial: UploadRow,
  options: ReceiveOptions,
) {
  let upload = initial
  const { id } = initial
  const size = sizeOf(upload)
  if (upload.status === 'RECEIVED' && size === 0) return upload
  if (!statusesBefore('RECEIVING').includes(upload.status)) {
    throw new InvalidState(upload.status, 'the upload already has its bytes')
  }
  const commit = async (offset: number, write = commitOffset) => {
    try {
      upload = (await write(ctx, upload, offset)) ?? throwTakenOver()
    } catch (error) {
      ctx.blobs.invalidateCache?.(id)
      throw error
    }
  }
  const onDurable = async (length: number) => {
    if (length > size) assertSize(length, size)
    // The offset stays 0 until the body is complete. The commit extends the expiry of the upload.
    await commit(0)
  }
  const length = await appendTo(ctx, initial, req, {
    ...options,
    transferOwnership: true,
    onDurable,
  })
  await requireUnrevokedCreator(ctx.db, ctx.viewer)
  if (!req.complete)
    throw lockedError('the body was not read completely; send it again from the beginning')
  assertSize(length, size)
  await commit(size, commitFinalOffset)
  return upload
}

function throwTakenOver(): never {
  throw lockedError('another request has taken over this upload')
}
