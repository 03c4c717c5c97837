import type { IncomingMessage, ServerResponse } from 'node:http'
import type { App } from '../../app.ts'
import type { ServiceContext } from '../../context.ts'
import { asCreator, requireUnrevokedCreator } from '../../domains/uploads/creator.ts'
import { putIdOf, uploadById } from '../../domains/uploads/reads.ts'
import { acquireWriteLease } from '../../domains/uploads/receive/leases.ts'
import { appendTo, commitFinalOffset, commitOffset } from '../../domains/uploads/receive/offsets.ts'
import { statusesBefore, type UploadRow } from '../../domains/uploads/rules.ts'
import { InvalidState, NotFound } from '../../errors.ts'
import { refuseEarly } from '../early-reject.ts'
import { HttpError } from '../errors.ts'
import { atOnce, MOST_SENDERS } from '../limits/concurrency-limit.ts'
import type { Handler } from '../request-context.ts'
import { openSenderWatch } from '../sender-watch.ts'
import { createWaiter, uploadLines } from '../tus/locker.ts'
import { abortIfIdle, type DoorLimits, usualPatience } from '../tus/receive-body.ts'
import { lockedError, requireActive } from '../tus/request-state.ts'

/**
 * PUT /uploads/put/…: the whole body of a SIGNED_PUT upload from whoever holds the URL, as curl -T sends it. It is all there or
 * nothing of it: cut off, it begins anew, and a newer request ends an older one.
 */
export function putsDoor(
  app: App,
  { mostSenders = MOST_SENDERS, ...patience }: DoorLimits = {},
): Handler {
  const lines = uploadLines()
  const senders = atOnce(mostSenders)
  const watch = openSenderWatch(app.db)
  const running = new Set<Promise<unknown>>()
  const log = (err: unknown) => app.log.error({ err }, 'unexpected')

  async function put(ctx: ServiceContext, req: IncomingMessage, res: ServerResponse) {
    const found = await requirePut(ctx, req)
    senders.admit(found.createdBy, res)
    const stop = new AbortController()
    const turn = createWaiter(stop)
    await lines.join(found.id, turn)
    try {
      using _idle = abortIfIdle(req, stop, { ...usualPatience, ...patience })
      using _revoked = watch.follow(stop, found.tokenId ?? '')
      const upload = await holdAndTake(await asCreator(ctx, found), req, found.id, stop)
      const told = { 'Holdall-Upload-Id': upload.id, 'Holdall-Upload-Status': upload.status }
      res.writeHead(204, { ...told, 'Cache-Control': 'no-store' }).end()
    } finally {
      lines.leave(found.id, turn)
    }
  }

  return {
    async handle(req, res, { publicUrl, requestId }) {
      const served = app.scopeFor(undefined, publicUrl).then((ctx) => put(ctx, req, res))
      running.add(served)
      try {
        await served
      } catch (error) {
        if (req.complete) throw error
        refuseEarly(req, res, error, { requestId, log })
      } finally {
        running.delete(served)
      }
    },
    // What has begun may end; then the house is closed over it.
    drain: () => Promise.allSettled(running),
  }
}

/** The upload whose URL this is, with a request that can bring its bytes. What was not made here is 404 before it is looked for. */
async function requirePut(ctx: ServiceContext, req: IncomingMessage): Promise<UploadRow> {
  if (req.method !== 'PUT') {
    throw new HttpError(405, 'METHOD_NOT_ALLOWED', 'only PUT here', { Allow: 'PUT, OPTIONS' })
  }
  const [, key = ''] = /^\/uploads\/put\/([^?]*)/.exec(req.url ?? '') ?? []
  const id = putIdOf(ctx.signingKeys, key)
  if (!id) throw new NotFound(key, 'no upload is here')
  const upload = requireActive(await uploadById(ctx.db, id), id, ctx.now())
  if (upload.transport !== 'SIGNED_PUT') throw new NotFound(key, 'no upload is here')
  checkLength(req, sizeOf(upload))
  return upload
}

/** Never null: createUpload asks for the size of what is to be PUT. */
const sizeOf = ({ size }: UploadRow) => size ?? 0

function checkLength({ headers }: IncomingMessage, size: number) {
  // RFC 9110, section 14.5: a PUT with Content-Range that cannot be a part is 400.
  if (headers['content-range']) throw refused('the whole body is wanted, no range of it')
  const length = headers['content-length']
  if (length === undefined && headers['transfer-encoding'] !== undefined) return
  compare(Number(length ?? 0), size)
}

function compare(length: number, size: number) {
  if (length > size) throw new HttpError(413, 'FILE_TOO_LARGE', `${size} bytes were announced`)
  if (length < size) throw refused(`${size} bytes were announced, ${length} came`)
}

const refused = (message: string) => new HttpError(400, 'BAD_REQUEST', message)

async function holdAndTake(
  ctx: ServiceContext,
  req: IncomingMessage,
  id: string,
  stop: AbortController,
) {
  const hold = (await acquireWriteLease(ctx, id, stop)) ?? taken()
  let latest: UploadRow | null = null
  try {
    latest = await takeBody(ctx, req, requireActive(hold.upload, id, ctx.now()), {
      signal: stop.signal,
      assertWriter: () => hold.isMine() || taken(),
    })
    return latest
  } finally {
    await hold.release(latest)
  }
}

type Taking = { signal: AbortSignal; assertWriter: () => void }

async function takeBody(
  ctx: ServiceContext,
  req: IncomingMessage,
  held: UploadRow,
  taking: Taking,
) {
  let upload = held
  const { id } = held
  const size = sizeOf(upload)
  if (upload.status === 'RECEIVED' && size === 0) return upload
  if (!statusesBefore('RECEIVING').includes(upload.status)) {
    throw new InvalidState(upload.status, 'the bytes are here already')
  }
  const commit = async (offset: number, write = commitOffset) => {
    try {
      upload = (await write(ctx, upload, offset)) ?? taken()
    } catch (error) {
      ctx.blobs.invalidateCache?.(id)
      throw error
    }
  }
  const onDurable = async (length: number) => {
    if (length > size) compare(length, size)
    // Not a byte counts before all are there, but the upload waits for the next.
    await commit(0)
  }
  const length = await appendTo(ctx, held, req, { ...taking, transferOwnership: true, onDurable })
  await requireUnrevokedCreator(ctx.db, ctx.viewer)
  if (!req.complete) throw lockedError('the body was not read to its end; it begins anew')
  compare(length, size)
  await commit(size, commitFinalOffset)
  return upload
}

function taken(): never {
  throw lockedError('another request has taken this upload over')
}
