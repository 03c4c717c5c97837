import { randomUUID } from 'node:crypto'
import type { IncomingMessage, ServerResponse } from 'node:http'
import type { App } from '../app.ts'
import type { ServiceContext } from '../context.ts'
import { Unauthenticated } from '../errors/access.ts'
import { addressOf } from './client-address.ts'
import type { RecordAuthFailure } from './limits/auth-failures.ts'
import { type RateLimitCharge, unlimited } from './limits/rate-limits.ts'
import { publicUrlOf } from './public-url.ts'

/** What a handler receives with each request. */
export type RequestContext = {
  requestId: string
  /** Base URL under which this client reaches the server, without a trailing slash. */
  publicUrl: string
  /** Client address: an IPv4 address or an IPv6 /64 network. */
  address: string
  /** Resolves the Authorization header, once per request. Rejects with Unauthenticated. */
  authenticate: () => Promise<ServiceContext>
  /** Logs that the Authorization header of this request is invalid. */
  recordAuthFailure: () => void
  /** Consumes the rate limit points that the request costs. */
  charge: RateLimitCharge
}

/**
 * An HTTP handler. `drain` runs when shutdown begins: stop reading bodies and keep the bytes received so far.
 * `refuse` runs when the listener closes: reject further requests of open connections.
 */
export type Handler = {
  handle: (req: IncomingMessage, res: ServerResponse, context: RequestContext) => unknown
  drain?: () => unknown
  refuse?: () => unknown
}

const REQUEST_ID = /^[\w.:-]{1,128}$/

/** Returns the X-Request-Id of the client if it is well-formed, else a new UUID. */
export function requestIdOf(req: IncomingMessage): string {
  const given = req.headers['x-request-id']
  return typeof given === 'string' && REQUEST_ID.test(given) ? given : randomUUID()
}

/** Returns the URL of a request with a placeholder for its host. */
export const urlOf = ({ url = '' }: IncomingMessage) => new URL(url, 'http://localhost')

/** Creates the context of one request. Throws HttpError (400) for an invalid Host header. */
export function createRequestContext(
  app: App,
  req: IncomingMessage,
  { requestId, recordAuthFailure }: { requestId: string; recordAuthFailure: RecordAuthFailure },
): RequestContext {
  const publicUrl = publicUrlOf(app.config, req)
  const address = addressOf(req, app.config.trustProxy)
  const authenticate = () =>
    app.contextFor(req.headers.authorization, publicUrl).catch((error) => {
      if (error instanceof Unauthenticated) recordAuthFailure(address)
      throw error
    })
  let authenticated: Promise<ServiceContext> | undefined
  return {
    requestId,
    publicUrl,
    address,
    recordAuthFailure: () => recordAuthFailure(address),
    authenticate() {
      authenticated ??= authenticate()
      return authenticated
    },
    charge: unlimited(app.now),
  }
}
