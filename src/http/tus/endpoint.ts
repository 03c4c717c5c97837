import type { IncomingMessage, ServerResponse } from 'node:http'
import { Server } from '@tus/server'
import type { App } from '../../app.ts'
import type { UploadStatus } from '../../database/tables.ts'
import { confirmItself } from '../../domains/uploads/confirm/auto-confirm.ts'
import { requireOwnUpload, uploadById, uploadIdOf } from '../../domains/uploads/reads.ts'
import { isFinal } from '../../domains/uploads/rules.ts'
import { NotFound, Unauthenticated } from '../../errors.ts'
import type { SigningKeys } from '../../signing/signing-keys.ts'
import { HttpError, statusOf } from '../errors.ts'
import { atOnce, MOST_SENDERS } from '../limits/concurrency-limit.ts'
import type { Handler, RequestContext } from '../request-context.ts'
import { openSenderWatch } from '../sender-watch.ts'
import { concatenate, createFromRequest } from './creation.ts'
import { UploadStore } from './data-store.ts'
import {
  capabilities,
  checkVersion,
  methodOf,
  OFFSET_TYPE,
  readHeaders,
  TUS_VERSION,
} from './headers.ts'
import { uploadLocker } from './locker.ts'
import { type BodyTimeouts, type DoorLimits, usualPatience } from './receive-body.ts'
import {
  currentPassage,
  lockedError,
  requireConfirmed,
  runWithState,
  type TusRequestState,
} from './request-state.ts'
import { answer, problemOf, setUploadHeaders } from './response.ts'

const sending = new Set(['PATCH', 'POST'])

/**
 * /uploads, where a plain tus client creates, and the URLs that createUpload hands out: tus 1.0.0. @tus/server decides about
 * offsets and lengths; what stands before it mends what it answers otherwise than the protocol says.
 */
export function uploadsDoor(
  app: App,
  { mostSenders = MOST_SENDERS, ...patience }: DoorLimits = {},
): Handler {
  const serving = {
    tus: tusServer({ ...usualPatience, ...patience }),
    startJoining: () => app.jobs.runDue(),
  }
  const running = new Map<TusRequestState, Promise<unknown>>()
  const senders = atOnce(mostSenders)
  const watch = openSenderWatch(app.db)
  let closing = false

  async function pass(
    req: IncomingMessage,
    res: ServerResponse,
    visit: RequestContext,
    method: string,
  ) {
    checkVersion(req)
    // tus-js-client takes a HEAD that is refused for the end of the upload.
    await visit.toll.pay(method === 'HEAD' ? 0 : 1)
    const id = uploadNamed(req, method, app.signingKeys)
    if (closing) throw lockedError('the server is closing')
    const passage = await enter(req, visit, method)
    if (sending.has(method)) senders.admit(passage.ctx.viewer?.userId ?? '', res)
    const { viewer } = passage.ctx
    using _ = watch.follow(passage.stop, viewer?.tokenId ?? '')
    const served = serve(serving, res, passage, id).finally(() => running.delete(passage))
    running.set(passage, served)
    await served
  }

  return {
    async handle(req, res, visit) {
      const method = methodOf(req)
      res.setHeader('Tus-Resumable', TUS_VERSION)
      res.setHeader('Cache-Control', 'no-store')
      if (method === 'OPTIONS') {
        return res.writeHead(204, capabilities(app.limits.maxUploadBytes)).end()
      }
      await pass(req, res, visit, method).catch((error) => {
        throw method === 'HEAD' ? calmed(app, error) : error
      })
    },
    async drain() {
      closing = true
      for (const { stop } of running.keys()) stop.abort('closing')
      await Promise.allSettled(running.values())
    },
  }
}

function tusServer(patience: BodyTimeouts) {
  return new Server({
    path: '/uploads',
    datastore: new UploadStore(patience),
    locker: uploadLocker(),
    namingFunction: () => createFromRequest(currentPassage()),
    onResponseError(_, error) {
      currentPassage().problem = error
      return undefined
    },
  })
}

const methods = { one: ['HEAD', 'PATCH', 'DELETE'], all: ['POST'] }

/** The id in the path, null for /uploads itself. What was not made here is 404 before anything else is asked. */
function uploadNamed({ url = '' }: IncomingMessage, method: string, keys: SigningKeys) {
  const [, key = ''] = /^\/uploads\/?([^?]*)/.exec(url) ?? []
  const allowed = key === '' ? methods.all : methods.one
  if (!allowed.includes(method)) {
    const Allow = [...allowed, 'OPTIONS'].join(', ')
    throw new HttpError(405, 'METHOD_NOT_ALLOWED', `only ${Allow} here`, { Allow })
  }
  if (key === '') return null
  const id = uploadIdOf(keys, key)
  if (!id) throw new NotFound(key, 'no upload is here')
  return id
}

async function enter(
  req: IncomingMessage,
  visit: RequestContext,
  method: string,
): Promise<TusRequestState> {
  const ctx = await visit.scope()
  if (!ctx.viewer) throw new Unauthenticated()
  const asked = readHeaders(req, method, ctx.limits.maxUploadBytes)
  const stop = new AbortController()
  return { req, asked, ctx, upload: null, hold: null, stop, problem: null }
}

type Serving = { tus: Server; startJoining: () => unknown }

async function serve(
  { tus, startJoining }: Serving,
  res: ServerResponse,
  passage: TusRequestState,
  id: string | null,
) {
  if (id) await requireTusUpload(passage, id)
  try {
    const response = passage.asked.concat?.parts
      ? await concatenate(passage, startJoining)
      : await runWithState(passage, () => tus.handleWeb(requestFor(passage, id)))
    if (!response.ok) throw await problemOf(response, passage)
    await confirmIfAsked(passage)
    setUploadHeaders(res, passage)
    answer(res, response)
  } catch (error) {
    setUploadHeaders(res, passage)
    throw error
  }
}

/** One that takes its bytes otherwise is not here. */
async function requireTusUpload({ ctx, asked }: TusRequestState, id: string) {
  const upload = await requireOwnUpload(ctx.db, ctx.viewer, id)
  if (upload.transport !== 'TUS') throw new NotFound(id)
  // tus: "The Server MUST respond with the 403 Forbidden status to PATCH requests against a final upload URL".
  if (asked.method === 'PATCH' && isFinal(upload)) {
    throw new HttpError(403, 'FORBIDDEN', 'a final upload has the bytes of its parts')
  }
}

/** What @tus/server is to see of the request: neither the query nor the proxies, only what was read and found right. */
function requestFor({ asked }: TusRequestState, id: string | null): Request {
  const { method, contentLength, offset, length, deferLength, hasBody } = asked
  const headers = new Headers({ 'Tus-Resumable': TUS_VERSION })
  if (offset !== null) headers.set('Upload-Offset', String(offset))
  if (length !== null) headers.set('Upload-Length', String(length))
  if (deferLength) headers.set('Upload-Defer-Length', '1')
  if (contentLength !== null) headers.set('Content-Length', String(contentLength))
  if (method === 'PATCH' || hasBody) headers.set('Content-Type', OFFSET_TYPE)
  return new Request(`http://localhost/uploads${id ? `/${id}` : ''}`, { method, headers })
}

/** The job may be confirming it, or have found it wrong: then to confirm is to learn of that. */
const confirmable: UploadStatus[] = ['RECEIVED', 'PROCESSING', 'FAILED']

/**
 * An empty PATCH at the end tries a confirm that failed once more. The answer says what became of it; a PATCH whose upload is not a file
 * yet is 423, as HEAD is, for a client takes 204 at the end for success.
 */
async function confirmIfAsked(passage: TusRequestState) {
  const { upload, asked, ctx } = passage
  if (!upload?.autoConfirm || !confirmable.includes(upload.status)) return
  if (asked.method !== 'PATCH' && asked.method !== 'POST') return
  try {
    await confirmItself(ctx, upload)
  } finally {
    passage.upload = await uploadById(ctx.db, upload.id)
  }
  if (asked.method === 'PATCH') requireConfirmed(passage.upload)
}

/** tus-js-client forgets an upload for good when a HEAD is answered 5xx or 429; 423 it tries again. */
function calmed({ log }: App, error: unknown): unknown {
  const status = statusOf(error)
  if (status < 500 && status !== 429) return error
  log.error({ err: error }, 'unexpected')
  return lockedError('this cannot be told at the moment')
}
