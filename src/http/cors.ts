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
].join(', ')

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
 * Sets the CORS headers that allow pages of the given origins to read responses, for every route alike.
 * Never allows credentials: clients send a bearer token explicitly, unlike a cookie.
 */
export function allowOrigin(origins: string[], req: IncomingMessage, res: ServerResponse) {
  if (origins.length === 0) return
  // Fetch, "CORS protocol and HTTP caches": a response that depends on the origin needs Vary for every
  // origin.
  res.appendHeader('Vary', 'Origin')
  const { origin } = req.headers
  if (!origin || !origins.includes(origin)) return
  res.setHeader('Access-Control-Allow-Origin', origin)
  res.setHeader('Access-Control-Expose-Headers', EXPOSED_HEADERS)
  if (!isPreflight(req)) return
  res.setHeader('Access-Control-Allow-Methods', METHODS)
  res.setHeader('Access-Control-Allow-Headers', REQUEST_HEADERS)
  res.setHeader('Access-Control-Max-Age', '86400')
}

/** Reports whether a request is a CORS preflight. */
export const isPreflight = ({ method, headers }: IncomingMessage) =>
  method === 'OPTIONS' && headers['access-control-request-method'] !== undefined
