import type { IncomingMessage, ServerResponse } from 'node:http'
import type { ServiceContext } from '../../context.ts'
import type { DownloadLog } from '../../domains/files/downloads.ts'
import type { Downloadable } from '../../domains/files/reads.ts'
import type { LinkLimits, LinkQuota } from '../limits/egress-limits.ts'
import type { RevocationWatch } from '../revocation-watch.ts'
import { contentHeaders } from './content-headers.ts'
import { canPresign, redirectToBucket } from './presigned-redirect.ts'
import { type ResolvedDownload, resolveDownload } from './resolve-download.ts'
import { bytesOf, type FileResponse, type Source } from './send-file.ts'
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
 * (RFC 9110). An error in the middle of a body destroys the connection.
 */
export const createDownloadHandler =
  (context: DownloadContext) => (req: IncomingMessage, res: ServerResponse) =>
    ignoreIfClosed(res, serveDownload(context, req, res))

async function serveDownload(context: DownloadContext, req: IncomingMessage, res: ServerResponse) {
  const download = await resolveDownload(context, req)
  const { file, disposition, cacheControl } = download
  const content = contentHeaders(file, disposition)
  const [etag, modifiedAt] = [`"${file.sha256}"`, file.modifiedAt]
  const validators = {
    ETag: etag,
    'Last-Modified': new Date(modifiedAt).toUTCString(),
    'Accept-Ranges': 'bytes',
    'Cache-Control': cacheControl,
  }
  const copy = { kind: 'file', size: file.size, etag, modifiedAt, validators, content } as const
  const begin = (response: FileResponse) =>
    beginDownload(context, { req, res, download, content, response })
  await transfer(req, res, { ...copy, begin })
}

type Begun = {
  req: IncomingMessage
  res: ServerResponse
  download: ResolvedDownload
  content: ReturnType<typeof contentHeaders>
  response: FileResponse
}

/** Charges the link, records the download and returns its bytes, or null after a redirect to the bucket. */
async function beginDownload(
  { redirects, downloads: log, links, revocations }: DownloadContext,
  { req, res, download, content, response }: Begun,
): Promise<Source | null> {
  const { ctx, file, by, link, begin } = download
  const onBegin = () => by && log.note({ ...by, ...loggedResponse(file, response) })
  const mayRedirect = redirects && !download.isCounted && canPresign(req.headers, response)
  const presigned = mayRedirect ? ctx.blobs.presigned : undefined
  if (link) {
    links.downloads.admit(link, res)
    const sending = { res, file, response, toBucket: presigned !== undefined }
    if (links.quota) await chargeBytes(links.quota, link, sending)
  }
  await begin?.(response)
  if (presigned) {
    await redirectToBucket(res, { presigned, key: file.blobId, content, now: ctx.now(), onBegin })
    return null
  }
  revocations.follow(res, download.right)
  return { name: file.blobId, open: (range) => ctx.blobs.open(file.blobId, range), onBegin }
}

type Sending = {
  res: ServerResponse
  file: Downloadable
  response: FileResponse
  toBucket: boolean
}

/**
 * Charges the quota of a link. A presigned URL serves the whole file, even if this request selects a part.
 */
async function chargeBytes(quota: LinkQuota, link: string, sending: Sending) {
  const { res, file, response, toBucket } = sending
  if (toBucket) await quota.consume(link, file.size)
  else await quota.consumeFor(res, link, bytesOf(response))
}

const loggedResponse = ({ versionId }: Downloadable, response: FileResponse) => ({
  versionId,
  whole: response.status === 200,
  bytes: bytesOf(response),
})
