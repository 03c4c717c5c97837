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
 * Lets pages of the given origins read the answers: the same for every door, so that none sets such headers itself.
 * Never with credentials: a bearer token is not sent by itself, as a cookie would be.
 */
export function allowOrigin(origins: string[], req: IncomingMessage, res: ServerResponse) {
  if (origins.length === 0) return
  // Fetch, "CORS protocol and HTTP caches": an answer that depends on the origin says so, also to other origins.
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

export const isPreflight = ({ method, headers }: IncomingMessage) =>
  method === 'OPTIONS' && headers['access-control-request-method'] !== undefined
