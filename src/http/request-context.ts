import { randomUUID } from 'node:crypto'
import type { IncomingMessage, ServerResponse } from 'node:http'
import type { App } from '../app.ts'
import type { Config } from '../config.ts'
import type { ServiceContext } from '../context.ts'
import { Unauthenticated } from '../errors.ts'
import { addressOf, lastHop } from './client-address.ts'
import { HttpError } from './errors.ts'
import type { NoteAuthFailure } from './limits/auth-failures.ts'
import { type RateLimitCharge, unlimited } from './limits/rate-limits.ts'

/** One request, as the doors are given it. */
export type RequestContext = {
  requestId: string
  /** Where this client reaches the house, without a closing slash. */
  publicUrl: string
  /** Where the request comes from: an IPv4 address, or a network of IPv6. */
  address: string
  /** By the Authorization header, which is looked up once; rejects with Unauthenticated. */
  scope: () => Promise<ServiceContext>
  /** Logs that the Authorization header of this request opens nothing. */
  noteAuthFailure: () => void
  /** Takes the points that the request costs. */
  toll: RateLimitCharge
}

/**
 * A way into the house. `drain` runs when shutdown begins: stop reading bodies, keep what arrived. `refuse` runs when the listener
 * closes: what still comes over open connections is refused.
 */
export type Handler = {
  handle: (req: IncomingMessage, res: ServerResponse, visit: RequestContext) => unknown
  drain?: () => unknown
  refuse?: () => unknown
}

const REQUEST_ID = /^[\w.:-]{1,128}$/
const HOST = /^(?:[\w.-]{1,253}|\[[0-9a-f:.]+\])(?::\d{1,5})?$/i

/** Takes the client's X-Request-Id where it is harmless, so that one id goes through all logs. */
export function requestIdOf(req: IncomingMessage): string {
  const given = req.headers['x-request-id']
  return typeof given === 'string' && REQUEST_ID.test(given) ? given : randomUUID()
}

export function openVisit(
  app: App,
  req: IncomingMessage,
  { requestId, noteAuthFailure }: { requestId: string; noteAuthFailure: NoteAuthFailure },
): RequestContext {
  const publicUrl = publicUrlOf(app.config, req)
  const address = addressOf(req, app.config.trustProxy)
  const authenticated = () =>
    app.scopeFor(req.headers.authorization, publicUrl).catch((error) => {
      if (error instanceof Unauthenticated) noteAuthFailure(address)
      throw error
    })
  let scope: Promise<ServiceContext> | undefined
  return {
    requestId,
    publicUrl,
    address,
    noteAuthFailure: () => noteAuthFailure(address),
    scope() {
      scope ??= authenticated()
      return scope
    },
    toll: unlimited(app.now),
  }
}

/** PUBLIC_URL, else what the request itself says: X-Forwarded-* only of a trusted proxy, and Host. */
function publicUrlOf({ publicUrl, trustProxy }: Config, { headers }: IncomingMessage): string {
  // Yoga makes a URL of it, whoever is asked for by PUBLIC_URL.
  const asked = checkHost(headers.host ?? 'localhost')
  if (publicUrl) return publicUrl
  const forwarded = (name: string) => (trustProxy ? lastHop(headers[name]) : undefined)
  const host = checkHost(forwarded('x-forwarded-host') ?? asked)
  return `${forwarded('x-forwarded-proto') === 'https' ? 'https' : 'http'}://${host}`
}

/** 1.2.3.4.5 and a:99999 look like hosts, and are none. */
function checkHost(host: string): string {
  if (HOST.test(host) && URL.canParse(`http://${host}`)) return host
  throw new HttpError(400, 'BAD_REQUEST', 'the Host header names no host')
}
