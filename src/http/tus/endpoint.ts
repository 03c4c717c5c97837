import type { IncomingMessage, ServerResponse } from 'node:http'
import { Server } from '@tus/server'
import type { App } from '../../app.ts'
import type { ServiceContext } from '../../context.ts'
import type { UploadStatus } from '../../database/tables.ts'
import { confirmAutomatically } from '../../domains/uploads/confirm/auto-confirm.ts'
import { requireOwnUpload, uploadById, uploadIdOf } from '../../domains/uploads/reads.ts'
import { isFinal } from '../../domains/uploads/rules.ts'
import { NotFound, Unauthenticated } from '../../errors/access.ts'
import { DomainError } from '../../errors/domain-error.ts'
import type { ErrorCode } from '../../errors/registry.ts'
import type { SigningKeys } from '../../signing/signing-keys.ts'
import { HttpError, statusOf } from '../errors.ts'
import { createConcurrencyLimit, MAX_BODIES_PER_USER } from '../limits/concurrency-limit.ts'
import type { Handler, RequestContext } from '../request-context.ts'
import { createSenderWatch } from '../sender-watch.ts'
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
import { createUploadLocker, createUploadLocks, type UploadLocks } from './locker.ts'
import {
  abortIfIdle,
  type BodyLimits,
  type BodyTimeouts,
  defaultBodyTimeouts,
} from './receive-body.ts'
import { lockedError, requireConfirmed, type TusRequestState } from './request-state.ts'
import { sendResponse, setUploadHeaders, toHttpError } from './response.ts'
import { redirectToFile } from './uploaded-file.ts'

const bodyMethods = new Set(['PATCH', 'POST'])

/**
 * Creates the handler of tus 1.0.0: /uploads, where plain tus clients create uploads, and the URLs of
 * createUpload. @tus/server checks offsets and lengths. The code around it corrects where the package
 * deviates from the protocol.
 */
export function createTusHandler(
  app: App,
  { maxBodiesPerUser = MAX_BODIES_PER_USER, ...timeouts }: BodyLimits = {},
): Handler {
  const serving = {
    locks: createUploadLocks(),
    timeouts: { ...defaultBodyTimeouts, ...timeouts },
    startConcatenation: () => app.jobs.runDue(),
  }
  const running = new Map<TusRequestState, Promise<unknown>>()
  const senders = createConcurrencyLimit(maxBodiesPerUser)
  const tokenWatch = createSenderWatch(app.db)
  let closing = false

  async function handleUpload(
    req: IncomingMessage,
    res: ServerResponse,
    context: RequestContext,
    method: string,
  ) {
    if (method !== 'GET') checkVersion(req)
    // HEAD is free: tus-js-client abandons an upload whose HEAD returns 429.
    await context.charge.consume(method === 'HEAD' ? 0 : 1)
    const id = uploadIdFromPath(req, method, app.signingKeys)
    if (closing) throw lockedError('the server is shutting down')
    const ctx = await context.authenticate()
    if (!ctx.viewer) throw new Unauthenticated()
    if (method === 'GET') return redirectToFile(ctx, res, id ?? '')
    if (bodyMethods.has(method)) senders.admit(ctx.viewer.userId, res)
    const state = await createState(req, ctx, method, serving.timeouts)
    using _ = tokenWatch.follow(state.stop, ctx.viewer.tokenId)
    const served = serve(serving, res, state, id).finally(() => running.delete(state))
    running.set(state, served)
    await served
  }

  return {
    async handle(req, res, context) {
      const method = methodOf(req)
      res.setHeader('Tus-Resumable', TUS_VERSION)
      res.setHeader('Cache-Control', 'no-store')
      if (method === 'OPTIONS') {
        return res.writeHead(200, capabilities(app.limits.maxUploadBytes)).end()
      }
      await handleUpload(req, res, context, method).catch((error) => {
        throw method === 'HEAD' ? maskHeadError(app, error) : asFinalRefusal(error)
      })
    },
    async drain() {
      closing = true
      for (const { stop } of running.keys()) stop.abort('closing')
      await Promise.allSettled(running.values())
    },
  }
}

/**
 * @tus/server passes the request to no method of its data store and locker, so each request gets a server
 * of its own around its state (2 µs). The package sees a Request of validated headers without a body,
 * because the store reads the bytes from `state.req`. The row and the error come back in the state.
 */
function tusServer(state: TusRequestState, { locks, timeouts }: Serving) {
  return new Server({
    path: '/uploads',
    datastore: new UploadStore(state, timeouts),
    locker: createUploadLocker(locks, state),
    namingFunction: () => createFromRequest(state),
    onResponseError(_, error) {
      state.error = error
      return undefined
    },
  })
}

const allowedMethods = { one: ['GET', 'HEAD', 'PATCH', 'DELETE'], all: ['POST'] }

/** Returns the id in the path, or null for /uploads itself. Throws 404 for a key with a wrong signature. */
function uploadIdFromPath({ url = '' }: IncomingMessage, method: string, keys: SigningKeys) {
  const [, key = ''] = /^\/uploads\/?([^?]*)/.exec(url) ?? []
  const allowed = key === '' ? allowedMethods.all : allowedMethods.one
  if (!allowed.includes(method)) {
    const Allow = [...allowed, 'OPTIONS'].join(', ')
    throw new HttpError(405, 'METHOD_NOT_ALLOWED', `method not allowed; use ${Allow}`, { Allow })
  }
  if (key === '') return null
  const id = uploadIdOf(keys, key)
  if (!id) throw new NotFound(key, 'the upload does not exist')
  return id
}

async function createState(
  req: IncomingMessage,
  ctx: ServiceContext,
  method: string,
  timeouts: BodyTimeouts,
): Promise<TusRequestState> {
  const stop = new AbortController()
  using _ = abortIfIdle(req, stop, timeouts)
  const { maxUploadBytes } = ctx.limits
  const request = await readHeaders(req, method, { maxUploadBytes, signal: stop.signal })
  return { req, request, ctx, upload: null, lease: null, stop, error: null }
}

type Serving = {
  locks: UploadLocks
  timeouts: BodyTimeouts
  startConcatenation: () => unknown
}

async function serve(
  serving: Serving,
  res: ServerResponse,
  state: TusRequestState,
  id: string | null,
) {
  if (id) await requireTusUpload(state, id)
  try {
    const response = state.request.concat?.parts
      ? await concatenate(state, serving.startConcatenation)
      : await tusServer(state, serving).handleWeb(requestFor(state, id))
    if (!response.ok) throw await toHttpError(response, state)
    await confirmIfRequested(state)
    if (state.upload?.joinedInto) void serving.startConcatenation()
    setUploadHeaders(res, state)
    sendResponse(res, response)
  } catch (error) {
    setUploadHeaders(res, state)
    throw error
  }
}

/** Throws 404 for an upload with another transport, and 403 for a PATCH of a final upload. */
async function requireTusUpload({ ctx, request }: TusRequestState, id: string) {
  const upload = await requireOwnUpload(ctx.db, ctx.viewer, id)
  if (upload.transport !== 'TUS') throw new NotFound(id)
  // tus: "The Server MUST respond with the 403 Forbidden status to PATCH requests against a final upload
  // URL".
  if (request.method === 'PATCH' && isFinal(upload)) {
    throw new HttpError(403, 'FORBIDDEN', 'a final upload does not accept PATCH')
  }
}

/** Builds the request for @tus/server from validated headers only, without the query and proxy headers. */
function requestFor({ request }: TusRequestState, id: string | null): Request {
  const { method, contentLength, offset, length, deferLength, hasBody } = request
  const headers = new Headers({ 'Tus-Resumable': TUS_VERSION })
  if (offset !== null) headers.set('Upload-Offset', String(offset))
  if (length !== null) headers.set('Upload-Length', String(length))
  if (deferLength) headers.set('Upload-Defer-Length', '1')
  if (contentLength !== null) headers.set('Content-Length', String(contentLength))
  if (method === 'PATCH' || hasBody) headers.set('Content-Type', OFFSET_TYPE)
  return new Request(`http://localhost/uploads${id ? `/${id}` : ''}`, { method, headers })
}

/** PROCESSING and FAILED are included, because confirming returns the result of the job. */
const confirmable: UploadStatus[] = ['RECEIVED', 'PROCESSING', 'FAILED']

/**
 * Confirms an upload with auto-confirm after its last byte. An empty PATCH at the full offset retries a
 * failed confirm. While the upload is not a file yet, PATCH throws 423, like HEAD, because clients interpret
 * 204 at the full offset as success.
 */
async function confirmIfRequested(state: TusRequestState) {
  const { upload, request, ctx } = state
  if (!upload?.autoConfirm || !confirmable.includes(upload.status)) return
  if (request.method !== 'PATCH' && request.method !== 'POST') return
  try {
    await confirmAutomatically(ctx, upload)
  } finally {
    state.upload = await uploadById(ctx.db, upload.id)
  }
  if (request.method === 'PATCH') requireConfirmed(state.upload)
}

/** Codes of refusals that the same request meets again, whatever their status elsewhere. */
const finalCodes: ReadonlySet<ErrorCode> = new Set([
  'INVALID_STATE',
  'NAME_CONFLICT',
  'QUOTA_EXCEEDED',
  'ROW_REJECTED',
  'SIZE_MISMATCH',
])

/**
 * Replaces the status of a final refusal with 422. tus clients repeat a request after 409 and 5xx; after a
 * repeated PATCH they ask HEAD and take its full offset for success.
 */
function asFinalRefusal(error: unknown): unknown {
  if (!(error instanceof DomainError) || error.retryable || !finalCodes.has(error.code))
    return error
  const { code, message, path } = error
  return Object.assign(new HttpError(422, code, message), { path })
}

/** Replaces 5xx and 429 of HEAD with 423, because tus-js-client abandons an upload after them. */
function maskHeadError({ log }: App, error: unknown): unknown {
  const status = statusOf(error)
  if (status < 500 && status !== 429) return error
  log.error({ err: error }, 'unexpected')
  return lockedError('the state of the upload is temporarily unavailable')
}
