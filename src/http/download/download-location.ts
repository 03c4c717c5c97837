import type { IncomingMessage, ServerResponse } from 'node:http'
import type { DownloadLog } from '../../domains/files/downloads.ts'
import { downloadUrl } from '../../signing/signed-links.ts'
import type { LinkLimits } from '../limits/egress-limits.ts'
import { beginDownload } from './begin-download.ts'
import type { contentHeaders } from './content-headers.ts'
import { presign } from './presigned-redirect.ts'
import type { ResolvedDownload } from './resolve-download.ts'
import { createFileResponse } from './send-file.ts'

const NOT_ACCEPTED = /^q=0(\.0*)?$/

/**
 * Reports whether a download request asks for the URL of the bytes as JSON instead of the bytes: it accepts
 * JSON and no other type. Many clients accept JSON beside any other type.
 */
export function wantsLocation({ headers: { accept = '' } }: IncomingMessage): boolean {
  const [type, ...parameters] = accept
    .toLowerCase()
    .split(';')
    .map((word) => word.trim())
  if (type !== 'application/json' || accept.includes(',')) return false
  return !parameters.some((parameter) => NOT_ACCEPTED.test(parameter))
}

type Locating = {
  req: IncomingMessage
  res: ServerResponse
  download: ResolvedDownload
  content: ReturnType<typeof contentHeaders>
  /** The presigned URLs of the bucket, unless the server serves this download itself. */
  presigned: ResolvedDownload['ctx']['blobs']['presigned']
}

/**
 * Sends { url, expiresAt } as JSON: a presigned URL of the bucket, which counts as a download of the whole
 * file, or a signed link of this server. Both serve the bytes without a token. Throws RateLimited,
 * StorageError, and NotFound for a share without downloads left.
 */
export async function sendLocation(
  context: { downloads: DownloadLog; links: LinkLimits },
  locating: Locating,
) {
  const { req, res } = locating
  const headers = {
    'Content-Type': 'application/json; charset=utf-8',
    'Cache-Control': 'private, no-store',
    'Referrer-Policy': 'no-referrer',
    'X-Content-Type-Options': 'nosniff',
  }
  if (req.method === 'HEAD') return void res.writeHead(200, headers).end()
  const { url, expiresAt } = await locate(context, locating)
  const body = JSON.stringify({ url, expiresAt: new Date(expiresAt).toISOString() })
  res.writeHead(200, { ...headers, 'Content-Length': Buffer.byteLength(body) }).end(body)
}

async function locate(
  context: { downloads: DownloadLog; links: LinkLimits },
  { res, download, content, presigned }: Locating,
): Promise<{ url: string; expiresAt: number }> {
  const { ctx, file, signedLink } = download
  // The bucket has no object for an empty file.
  if (!presigned || file.size === 0) {
    const url = downloadUrl(ctx, signedLink, file.name)
    return { url, expiresAt: signedLink.expiresAt }
  }
  const size = { size: file.size, contentType: content['Content-Type'] }
  const response = createFileResponse(size, undefined)
  const record = await beginDownload(context, { res, download, response, toBucket: true })
  const located = await presign(presigned, { key: file.blobId, content, now: ctx.now() })
  record()
  return located
}
