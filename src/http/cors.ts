import type { IncomingMessage, ServerResponse } from 'node:http'

const METHODS = 'GET, HEAD, POST, PUT, PATCH, DELETE, OPTIONS'

const REQUEST_HEADERS = [
  'Holdall-Share-Password',
  'Authorization',
  'Content-Type',
  'GraphQL-Require-Preflight',
  'If-Match',
  'If-Modified-Since',
  'If-None-Match',
  'If-Range',
  'Range',
  'Tus-Resumable',
  'Upload-Checksum',
  'Upload-Concat',
  'Upload-Defer-Length',
  'Upload-Length',
  'Upload-Metadata',
  'Upload-Offset',
  'X-HTTP-Method-Override',
  'X-Request-Id',
]

/** Maximum length of Access-Control-Request-Headers whose names are allowed. */
const MAX_REQUESTED_LENGTH = 4096
/** RFC 9110, section 5.6.2. `*` alone would allow every header. */
const TOKEN = /^(?!\*$)[\w!#$%&'*+.^`|~-]+$/

const EXPOSED_HEADERS = [
  'Accept-Ranges',
  'Content-Disposition',
  'Content-Length',
  'Content-Range',
  'ETag',
  'Holdall-File-Id',
  'Holdall-Upload-Id',
  'Holdall-Upload-Status',
  'Location',
  'RateLimit-Limit',
  'RateLimit-Remaining',
  'RateLimit-Reset',
  'Retry-After',
  'Tus-Checksum-Algorithm',
  'Tus-Extension',
  'Tus-Max-Size',
  'Tus-Resumable',
  'Tus-Version',
  'Upload-Concat',
  'Upload-Defer-Length',
  'Upload-Expires',
  'Upload-Length',
  'Upload-Metadata',
  'Upload-Offset',
  'X-Request-Id',
].join(', ')

/**
 * Sets the headers that allow pages of the given origins to read and embed responses, for every route alike.
 * Never allows credentials: clients send a bearer token explicitly, unlike a cookie.
 */
export function allowOrigin(origins: string[], req: IncomingMessage, res: ServerResponse) {
  res.setHeader('Cross-Origin-Resource-Policy', resourcePolicy(origins, req))
  if (origins.length === 0) return
  // Fetch, "CORS protocol and HTTP caches": a response that depends on the origin needs Vary for every
  // origin.
  res.appendHeader('Vary', 'Origin, Referer')
  const { origin } = req.headers
  if (!origin || !origins.includes(origin)) return
  res.setHeader('Access-Control-Allow-Origin', origin)
  res.setHeader('Access-Control-Expose-Headers', EXPOSED_HEADERS)
  if (!isPreflight(req)) return
  res.appendHeader('Vary', 'Access-Control-Request-Headers')
  res.setHeader('Access-Control-Allow-Methods', METHODS)
  res.setHeader('Access-Control-Allow-Headers', allowedHeaders(req))
  res.setHeader('Access-Control-Max-Age', '86400')
}

/** An image has no Origin header. No page can send the Referer of another origin. */
function resourcePolicy(origins: string[], { headers: { origin, referer = '' } }: IncomingMessage) {
  const isAllowed = origins.some(
    (allowed) => origin === allowed || referer === allowed || referer.startsWith(`${allowed}/`),
  )
  return isAllowed ? 'cross-origin' : 'same-site'
}

/** Returns the headers of the protocol and those that the preflight requests, as tracing libraries do. */
function allowedHeaders({ headers }: IncomingMessage): string {
  const requested = headers['access-control-request-headers'] ?? ''
  if (requested.length > MAX_REQUESTED_LENGTH) return REQUEST_HEADERS.join(', ')
  const names = requested.split(',').map((name) => name.trim().toLowerCase())
  const known = new Set(REQUEST_HEADERS.map((name) => name.toLowerCase()))
  const others = new Set(names.filter((name) => TOKEN.test(name) && !known.has(name)))
  return [...REQUEST_HEADERS, ...others].join(', ')
}

/** Reports whether a request is a CORS preflight. */
export const isPreflight = ({ method, headers }: IncomingMessage) =>
  method === 'OPTIONS' && headers['access-control-request-method'] !== undefined
