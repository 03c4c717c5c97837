import { once } from 'node:events'
import type { IncomingMessage } from 'node:http'
import { type Checksum, checksumAlgorithms, parseChecksum } from '../../blobs/streams/checksum.ts'
import { FileTooLarge } from '../../errors/uploads.ts'
import { tusExtensions } from '../../graphql/server-info.ts'
import { HttpError } from '../errors.ts'

/** The supported version of tus. */
export const TUS_VERSION = '1.0.0'
/** Content type of upload bytes. */
export const OFFSET_TYPE = 'application/offset+octet-stream'

/**
 * Returns the headers of OPTIONS. tus: Tus-Version MUST be included, and extensions add their own headers.
 */
export const capabilities = (maxUploadBytes: number) => ({
  'Tus-Version': TUS_VERSION,
  'Tus-Extension': tusExtensions.join(','),
  'Tus-Max-Size': String(maxUploadBytes),
  'Tus-Checksum-Algorithm': checksumAlgorithms.join(','),
})

/** The validated tus headers of a request. */
export type TusRequest = {
  method: string
  hasBody: boolean
  /** Null for a chunked body and without Content-Length. */
  contentLength: number | null
  offset: number | null
  length: number | null
  deferLength: boolean
  checksum: Checksum | undefined
  /** Upload-Concat of a new upload. `parts` has the URLs of a final upload and is null for a partial one. */
  concat: { header: string; parts: string[] | null } | null
}

/**
 * tus: X-HTTP-Method-Override "MUST be interpreted as the request's method"; the actual one "MUST be
 * ignored".
 */
export function methodOf({ method = '', headers }: IncomingMessage): string {
  const override = headers['x-http-method-override']
  return typeof override === 'string' ? override.toUpperCase() : method
}

/** Throws 412 for another version of tus: "the Server MUST NOT process the request". */
export function checkVersion({ headers }: IncomingMessage) {
  if (headers['tus-resumable'] === TUS_VERSION) return
  const message = `the request must have Tus-Resumable: ${TUS_VERSION}`
  throw new HttpError(412, 'PRECONDITION_FAILED', message, { 'Tus-Version': TUS_VERSION })
}

/**
 * Parses and validates the tus headers. A body counts by its bytes: a chunked one without bytes is none.
 * Throws HttpError (400, 415, 460) and FileTooLarge.
 */
export async function readHeaders(
  req: IncomingMessage,
  method: string,
  { maxUploadBytes, signal }: { maxUploadBytes: number; signal: AbortSignal },
): Promise<TusRequest> {
  const { headers } = req
  const contentLength = parseInteger(headers, 'content-length')
  const offset = parseInteger(headers, 'upload-offset')
  const length = parseInteger(headers, 'upload-length')
  if (method === 'PATCH') assertOffsetType(headers)
  if (method === 'PATCH' && offset === null) throw badRequest('PATCH requires Upload-Offset')
  if (length !== null && length > maxUploadBytes) throw new FileTooLarge(maxUploadBytes)
  const deferLength = parseDeferLength(headers)
  const concat = method === 'POST' ? parseConcat(headers) : null
  const checksum = parseChecksumHeader(headers)
  assertNoChecksumTrailer(req)
  const isChunked = headers['transfer-encoding'] !== undefined
  const hasBody = isChunked ? await hasBytes(req, signal) : (contentLength ?? 0) > 0
  if (method === 'POST' && hasBody) assertOffsetType(headers)
  // tus: "The Client MUST NOT include the Upload-Length header in the final upload creation."
  if (concat?.parts && (length !== null || deferLength || hasBody)) {
    throw badRequest(
      'a final upload accepts neither Upload-Length nor Upload-Defer-Length nor a body',
    )
  }
  return { method, hasBody, contentLength, offset, length, deferLength, checksum, concat }
}

/**
 * Returns whether a chunked body has a byte, once the first one or the end has arrived. `signal` ends the
 * wait; then the answer is true, and the reader of the body finds that it stalled.
 */
async function hasBytes(req: IncomingMessage, signal: AbortSignal): Promise<boolean> {
  while (!signal.aborted && !req.destroyed) {
    const chunk = req.read()
    if (chunk !== null) req.unshift(chunk)
    if (chunk !== null || req.complete) break
    await Promise.race([once(req, 'readable', { signal }), once(req, 'close', { signal })]).catch(
      () => {},
    )
  }
  assertNoChecksumTrailer(req)
  return req.readableLength > 0 || !req.complete
}

/**
 * Throws 400 for Upload-Checksum in a trailer, announced or not: the extension checksum-trailer is not
 * offered, and a checksum that is ignored would be taken for a checked one.
 */
export function assertNoChecksumTrailer({ headers, trailers }: IncomingMessage): void {
  const isAnnounced = /(?:^|[\s,])upload-checksum(?:$|[\s,])/i.test(headers.trailer ?? '')
  if (isAnnounced || trailers['upload-checksum'] !== undefined)
    throw badRequest('Upload-Checksum must be a header of the request, not a trailer')
}

type Headers = IncomingMessage['headers']

function parseInteger(headers: Headers, name: string): number | null {
  const value = headers[name]
  if (value === undefined) return null
  if (typeof value === 'string' && /^\d+$/.test(value)) return Number(value)
  throw badRequest(`${name} must be a non-negative integer`)
}

function assertOffsetType(headers: Headers) {
  const [type = ''] = (headers['content-type'] ?? '').split(';')
  if (type.trim().toLowerCase() === OFFSET_TYPE) return
  throw new HttpError(
    415,
    'UNSUPPORTED_MEDIA_TYPE',
    `the request must have Content-Type: ${OFFSET_TYPE}`,
  )
}

function parseDeferLength(headers: Headers): boolean {
  const value = headers['upload-defer-length']
  if (value === undefined || value === '1') return value === '1'
  throw badRequest('Upload-Defer-Length must be 1 or absent')
}

function parseConcat(headers: Headers): TusRequest['concat'] {
  const header = headers['upload-concat']?.toString()
  if (header === undefined) return null
  if (header === 'partial') return { header, parts: null }
  const [, urls] = /^final;\s*(\S.*)$/.exec(header) ?? []
  if (!urls)
    throw badRequest('Upload-Concat must be `partial` or `final;` with space-separated URLs')
  return { header, parts: urls.trim().split(/\s+/) }
}

function parseChecksumHeader(headers: Headers): Checksum | undefined {
  const header = headers['upload-checksum']
  if (header === undefined) return undefined
  const checksum = typeof header === 'string' ? parseChecksum(header) : null
  if (checksum?.digest) return checksum
  const form = `one of ${checksumAlgorithms.join(', ')}, a space and the Base64 digest`
  if (!checksum) throw badRequest(`Upload-Checksum must be ${form}`)
  const message = `no bytes match this Upload-Checksum, which must be ${form}`
  throw new HttpError(460, 'CHECKSUM_MISMATCH', message)
}

const badRequest = (message: string) => new HttpError(400, 'BAD_REQUEST', message)
