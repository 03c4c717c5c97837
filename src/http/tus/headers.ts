import type { IncomingMessage } from 'node:http'
import { type Checksum, checksumAlgorithms, parseChecksum } from '../../blobs/streams/checksum.ts'
import { FileTooLarge } from '../../errors.ts'
import { tusExtensions } from '../../graphql/server-info.ts'
import { HttpError } from '../errors.ts'

export const TUS_VERSION = '1.0.0'
export const OFFSET_TYPE = 'application/offset+octet-stream'

/** What OPTIONS tells. tus: Tus-Version MUST be there, with each extension its own header. */
export const capabilities = (maxUploadBytes: number) => ({
  'Tus-Version': TUS_VERSION,
  'Tus-Extension': tusExtensions.join(','),
  'Tus-Max-Size': String(maxUploadBytes),
  'Tus-Checksum-Algorithm': checksumAlgorithms.join(','),
})

/** The headers of a request that are the protocol's, read and found right. */
export type TusRequest = {
  method: string
  hasBody: boolean
  /** Null where the body says its own end (Transfer-Encoding: chunked), and where there is none. */
  contentLength: number | null
  offset: number | null
  length: number | null
  deferLength: boolean
  checksum: Checksum | undefined
  /** Of a new upload: whether it is part of another, or made of the uploads at these URLs. */
  concat: { header: string; parts: string[] | null } | null
}

/** tus: X-HTTP-Method-Override "MUST be interpreted as the request's method"; the actual one "MUST be ignored". */
export function methodOf({ method = '', headers }: IncomingMessage): string {
  const override = headers['x-http-method-override']
  return typeof override === 'string' ? override.toUpperCase() : method
}

/** tus: any other version is 412 with Tus-Version, and "the Server MUST NOT process the request". */
export function checkVersion({ headers }: IncomingMessage) {
  if (headers['tus-resumable'] === TUS_VERSION) return
  const message = `Tus-Resumable: ${TUS_VERSION} is needed`
  throw new HttpError(412, 'PRECONDITION_FAILED', message, { 'Tus-Version': TUS_VERSION })
}

/** Throws HttpError (400, 415) and FileTooLarge for what the protocol refuses in headers. */
export function readHeaders(
  req: IncomingMessage,
  method: string,
  maxUploadBytes: number,
): TusRequest {
  const { headers } = req
  const contentLength = wholeNumber(headers, 'content-length')
  const hasBody = headers['transfer-encoding'] !== undefined || (contentLength ?? 0) > 0
  const offset = wholeNumber(headers, 'upload-offset')
  const length = wholeNumber(headers, 'upload-length')
  if (method === 'PATCH' || (method === 'POST' && hasBody)) checkType(headers)
  if (method === 'PATCH' && offset === null) throw refused('Upload-Offset is needed')
  if (length !== null && length > maxUploadBytes) throw new FileTooLarge(maxUploadBytes)
  const deferLength = readDeferLength(headers)
  const concat = method === 'POST' ? readConcat(headers) : null
  // tus: "The Client MUST NOT include the Upload-Length header in the final upload creation."
  if (concat?.parts && (length !== null || deferLength || hasBody)) {
    throw refused('a final upload has the length and the bytes of its parts')
  }
  return {
    method,
    hasBody,
    contentLength,
    offset,
    length,
    deferLength,
    checksum: readChecksum(headers),
    concat,
  }
}

type Headers = IncomingMessage['headers']

function wholeNumber(headers: Headers, name: string): number | null {
  const value = headers[name]
  if (value === undefined) return null
  if (typeof value === 'string' && /^\d+$/.test(value)) return Number(value)
  throw refused(`${name} is a whole number`)
}

function checkType(headers: Headers) {
  const [type = ''] = (headers['content-type'] ?? '').split(';')
  if (type.trim().toLowerCase() === OFFSET_TYPE) return
  throw new HttpError(415, 'UNSUPPORTED_MEDIA_TYPE', `Content-Type: ${OFFSET_TYPE} is needed`)
}

function readDeferLength(headers: Headers): boolean {
  const value = headers['upload-defer-length']
  if (value === undefined || value === '1') return value === '1'
  throw refused('Upload-Defer-Length is 1, or is left out')
}

function readConcat(headers: Headers): TusRequest['concat'] {
  const header = headers['upload-concat']?.toString()
  if (header === undefined) return null
  if (header === 'partial') return { header, parts: null }
  const [, urls] = /^final;\s*(\S.*)$/.exec(header) ?? []
  if (!urls) throw refused('Upload-Concat is partial, or final; and URLs with spaces between')
  return { header, parts: urls.trim().split(/\s+/) }
}

function readChecksum(headers: Headers): Checksum | undefined {
  const header = headers['upload-checksum']
  if (header === undefined) return undefined
  const checksum = typeof header === 'string' ? parseChecksum(header) : null
  if (checksum) return checksum
  const algorithms = checksumAlgorithms.join(', ')
  throw refused(`Upload-Checksum is one of ${algorithms}, a space, and the digest in Base64`)
}

const refused = (message: string) => new HttpError(400, 'BAD_REQUEST', message)
