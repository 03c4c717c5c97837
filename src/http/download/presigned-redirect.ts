import type { IncomingHttpHeaders, ServerResponse } from 'node:http'
import type { PresignedUrls } from '../../blobs/blob-store.ts'
import type { contentHeaders } from './content-headers.ts'
import type { FileResponse } from './send-file.ts'

/** Lifetime of the URL. A download must begin within it and may take longer. */
const URL_TTL_MS = 300_000

/**
 * Conditions that compare validators of this server. The bucket has other ETags and times, so it cannot
 * evaluate them.
 */
const conditions = ['if-match', 'if-unmodified-since', 'if-modified-since', 'if-range']

/** Reports whether the bucket can serve the request: the whole file or one range, without conditions. */
export function canPresign(headers: IncomingHttpHeaders, { parts }: FileResponse): boolean {
  if (parts.length !== 1 || headers.range?.includes(',')) return false
  return !conditions.some((name) => headers[name] !== undefined)
}

type Redirect = {
  presigned: Pick<PresignedUrls, 'getUrl'>
  key: string
  content: ReturnType<typeof contentHeaders>
  now: number
  onBegin: () => void
}

/**
 * Redirects (302) to a presigned URL, which serves the type and name that the server would send. Throws
 * StorageError.
 */
export async function redirectToBucket(res: ServerResponse, redirect: Redirect) {
  const { presigned, key, content, now, onBegin } = redirect
  const url = await presigned.getUrl(key, {
    expiresAt: now + URL_TTL_MS,
    contentType: content['Content-Type'],
    contentDisposition: content['Content-Disposition'],
  })
  onBegin()
  const headers = { Location: url, 'Cache-Control': 'no-store', 'Referrer-Policy': 'no-referrer' }
  res.writeHead(302, { ...headers, 'Content-Length': 0 }).end()
}
