import type { IncomingHttpHeaders, ServerResponse } from 'node:http'
import type { PresignedUrls } from '../../blobs/blob-store.ts'
import type { contentHeaders } from './content-headers.ts'
import type { FileResponse } from './send-file.ts'

/** A download has to begin in this time; how long it takes then is nobody's concern. */
const URL_MS = 300_000

/** They compare with what the house says of its files. The bucket knows other tags and times, and would judge otherwise. */
const conditions = ['if-match', 'if-unmodified-since', 'if-modified-since', 'if-range']

/** Whether the bucket, asked the same, would answer the same: with one piece of the file, or all of it. */
export function canPresign(headers: IncomingHttpHeaders, { parts }: FileResponse): boolean {
  if (parts.length !== 1 || headers.range?.includes(',')) return false
  return !conditions.some((name) => headers[name] !== undefined)
}

type Sending = {
  presigned: Pick<PresignedUrls, 'getUrl'>
  key: string
  content: ReturnType<typeof contentHeaders>
  now: number
  onBegin: () => void
}

/** 302 to the bytes in the bucket, which are served under the type and the name that the house would give them. Throws StorageError. */
export async function sendToBucket(res: ServerResponse, sending: Sending) {
  const { presigned, key, content, now, onBegin } = sending
  const url = await presigned.getUrl(key, {
    expiresAt: now + URL_MS,
    contentType: content['Content-Type'],
    contentDisposition: content['Content-Disposition'],
  })
  onBegin()
  const headers = { Location: url, 'Cache-Control': 'no-store', 'Referrer-Policy': 'no-referrer' }
  res.writeHead(302, { ...headers, 'Content-Length': 0 }).end()
}
