import type { IncomingMessage, ServerResponse } from 'node:http'
import type { ServiceContext } from '../../context.ts'
import type { DownloadLog } from '../../domains/files/downloads.ts'
import type { LinkLimits } from '../limits/egress-limits.ts'
import type { RevocationWatch } from '../revocation-watch.ts'
import { beginDownload } from './begin-download.ts'
import { contentHeaders } from './content-headers.ts'
import { sendLocation, wantsLocation } from './download-location.ts'
import {
  canRedirect,
  presign,
  redirectToBucket,
  withoutForeignConditions,
} from './presigned-redirect.ts'
import { type ResolvedDownload, resolveDownload } from './resolve-download.ts'
import type { FileResponse, Source } from './send-file.ts'
import { ignoreIfClosed, transfer } from './transfer.ts'

/** What the download handler needs for one request. */
export type DownloadContext = {
  /** Resolves the Authorization header. Rejects with Unauthenticated. */
  authenticate: () => Promise<ServiceContext>
  /** Context without a viewer, for signed links, which need no other credentials. */
  anonymous: ServiceContext
  /** Client address. */
  address: string
  downloads: DownloadLog
  links: LinkLimits
  revocations: RevocationWatch
  /** Whether downloads are redirected to the bucket, if the store has one. */
  redirects: boolean
}

/**
 * Creates the handler of GET and HEAD /download/…. A signed link serves one version. A file id serves the
 * current version, with a bearer token or from a public workspace. Supports ranges and conditional requests
 * (RFC 9110). With Accept: application/json the response is the URL of the bytes. An error in the middle of a
 * body destroys the connection.
 */
export const createDownloadHandler =
  (context: DownloadContext) => (req: IncomingMessage, res: ServerResponse) =>
    ignoreIfClosed(res, serveDownload(context, req, res))

async function serveDownload(context: DownloadContext, req: IncomingMessage, res: ServerResponse) {
  const download = await resolveDownload(context, req)
  const { ctx, file, disposition, cacheControl, isCounted, isPinned } = download
  const content = contentHeaders(file, disposition)
  const presigned = context.redirects && !isCounted ? ctx.blobs.presigned : undefined
  res.appendHeader('Vary', 'Accept')
  if (wantsLocation(req)) {
    return sendLocation(context, { req, res, download, content, presigned })
  }
  const own = { etag: `"${file.sha256}"`, modifiedAt: file.modifiedAt }
  const validators = {
    ETag: own.etag,
    'Last-Modified': new Date(own.modifiedAt).toUTCString(),
    'Accept-Ranges': 'bytes',
    'Cache-Control': cacheControl,
  }
  // HEAD and empty files are never redirected.
  const mayRedirect = presigned && req.method === 'GET' && file.size > 0
  const headers = mayRedirect && isPinned ? withoutForeignConditions(req.headers, own) : req.headers
  const begin = (response: FileResponse) => {
    const bucket = mayRedirect && canRedirect(headers, response) ? presigned : undefined
    return openSource(context, { res, download, content, response, bucket })
  }
  const copy = { kind: 'file', size: file.size, ...own, validators, content, begin } as const
  await transfer({ method: req.method, headers }, res, copy)
}

type Opening = {
  res: ServerResponse
  download: ResolvedDownload
  content: ReturnType<typeof contentHeaders>
  response: FileResponse
  /** The presigned URLs of the bucket, if it serves this request. */
  bucket: ServiceContext['blobs']['presigned']
}

/** Begins a download and returns its bytes, or null after a redirect to the bucket. */
async function openSource(
  context: DownloadContext,
  { res, download, content, response, bucket }: Opening,
): Promise<Source | null> {
  const { ctx, file, right } = download
  const toBucket = bucket !== undefined
  const onBegin = await beginDownload(context, { res, download, response, toBucket })
  if (bucket) {
    const { url } = await presign(bucket, { key: file.blobId, content, now: ctx.now() })
    onBegin()
    redirectToBucket(res, url)
    return null
  }
  context.revocations.follow(res, right)
  return { name: file.blobId, open: (range) => ctx.blobs.open(file.blobId, range), onBegin }
}
