import type { IncomingHttpHeaders, ServerResponse } from 'node:http'
import type { PresignedUrls } from '../../blobs/blob-store.ts'
import type { contentHeaders } from './content-headers.ts'
import { evaluatePreconditions, ifRangeMatches, type Validators } from './preconditions.ts'
import type { FileResponse } from './send-file.ts'

/** Lifetime of the URL. A download must begin within it and may take longer. */
const URL_TTL_MS = 300_000

/** Conditions whose validators the bucket has under other values. */
const conditions = ['if-match', 'if-unmodified-since', 'if-modified-since', 'if-range']

/**
 * Reports whether a redirect to the bucket serves the request: it is for the whole file or one range, has no
 * conditions, and no Authorization header. Many clients send that header to the bucket again, which refuses
 * it beside the signature of the URL.
 */
export function canRedirect(headers: IncomingHttpHeaders, { parts }: FileResponse): boolean {
  if (parts.length !== 1 || hasSeveralRanges(headers) || headers.authorization) return false
  return !conditions.some((name) => headers[name] !== undefined)
}

const hasSeveralRanges = ({ range }: IncomingHttpHeaders) => range?.includes(',') === true

/**
 * Returns the headers of a request that may be redirected, without conditions that do not match `own`, the
 * validators of this server: the bucket receives them with the redirect and evaluates them with its own (RFC
 * 9110, section 13.2.1). Only for a URL that always serves the same bytes, because many buckets ignore
 * If-Range.
 */
export function withoutForeignConditions(
  headers: IncomingHttpHeaders,
  own: Validators,
): IncomingHttpHeaders {
  if (headers.authorization || hasSeveralRanges(headers) || !isForeign(headers, own)) return headers
  const others = Object.entries(headers).filter(([name]) => !conditions.includes(name))
  return Object.fromEntries(others)
}

function isForeign(headers: IncomingHttpHeaders, own: Validators): boolean {
  const outcome = evaluatePreconditions(headers, own)
  if (outcome !== 'send') return outcome === 'failed'
  return headers['if-match'] === undefined && !ifRangeMatches(headers, own)
}

type Wanted = { key: string; content: ReturnType<typeof contentHeaders>; now: number }

/**
 * Returns a presigned URL, which serves the type and name that the server would send, and its expiry in ms
 * since 1970. Throws StorageError.
 */
export async function presign(
  presigned: Pick<PresignedUrls, 'getUrl'>,
  { key, content, now }: Wanted,
): Promise<{ url: string; expiresAt: number }> {
  const expiresAt = now + URL_TTL_MS
  const url = await presigned.getUrl(key, {
    expiresAt,
    contentType: content['Content-Type'],
    contentDisposition: content['Content-Disposition'],
  })
  return { url, expiresAt }
}

/** Redirects (302) to a presigned URL. */
export function redirectToBucket(res: ServerResponse, url: string) {
  const headers = { Location: url, 'Cache-Control': 'no-store', 'Referrer-Policy': 'no-referrer' }
  res.writeHead(302, { ...headers, 'Content-Length': 0 }).end()
}
