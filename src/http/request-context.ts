import { randomUUID } from 'node:crypto'
import type { IncomingMessage, ServerResponse } from 'node:http'
import type { App } from '../app.ts'
import type { Config } from '../config/config.ts'
import type { ServiceContext } from '../context.ts'
import { Unauthenticated } from '../errors/access.ts'
import { addressOf, lastHop } from './client-address.ts'
import { HttpError } from './errors.ts'
import type { RecordAuthFailure } from './limits/auth-failures.ts'
import { type RateLimitCharge, unlimited } from './limits/rate-limits.ts'

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
const HOST = /^(?:[\w.-]{1,253}|\[[0-9a-f:.]+\])(?::\d{1,5})?$/i

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

/**
 * Returns PUBLIC_URL, else the URL that the Host header and, behind a trusted proxy, X-Forwarded-* report.
 */
function publicUrlOf({ publicUrl, trustProxy }: Config, { headers }: IncomingMessage): string {
  // Yoga builds a URL from the Host header, so it must be valid even with PUBLIC_URL.
  const requested = checkHost(headers.host ?? 'localhost')
  if (publicUrl) return publicUrl
  const forwarded = (name: string) => (trustProxy ? lastHop(headers[name]) : undefined)
  const host = checkHost(forwarded('x-forwarded-host') ?? requested)
  return `${forwarded('x-forwarded-proto') === 'https' ? 'https' : 'http'}://${host}`
}

/** Returns the host. URL.canParse rejects 1.2.3.4.5 and a:99999, which match HOST. */
function checkHost(host: string): string {
  if (HOST.test(host) && URL.canParse(`http://${host}`)) return host
  throw new HttpError(
    400,
    'BAD_REQUEST',
    `invalid host ${JSON.stringify(host.slice(0, 100))} in the Host or X-Forwarded-Host header`,
  )
}
