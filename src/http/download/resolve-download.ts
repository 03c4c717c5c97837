import type { IncomingMessage } from 'node:http'
import type { ServiceContext } from '../../context.ts'
import type { Download } from '../../domains/files/downloads.ts'
import {
  type Downloadable,
  downloadableFile,
  downloadableVersion,
} from '../../domains/files/reads.ts'
import { beginSharedDownload } from '../../domains/sharing/downloads.ts'
import { requireSharedVersion, requireUnrevoked } from '../../domains/sharing/reads.ts'
import { requireLinkCreator } from '../../domains/workspaces/reads.ts'
import { NotFound, Unauthenticated } from '../../errors/access.ts'
import { InvalidInput } from '../../errors/input.ts'
import { LINK_TTL_MS, type Link, readLink } from '../../signing/signed-links.ts'
import { quotaKey } from '../limits/egress-limits.ts'
import { urlOf } from '../request-context.ts'
import type { Right } from '../revocation-watch.ts'
import type { Disposition } from './content-headers.ts'
import { bytesOf, type FileResponse } from './send-file.ts'

/** Who requests a download: the Authorization header, the context without a viewer, the client address. */
type Requester = {
  authenticate: () => Promise<ServiceContext>
  anonymous: ServiceContext
  address: string
}

/** A download whose right was checked. */
export type ResolvedDownload = {
  ctx: ServiceContext
  file: Downloadable
  disposition: Disposition
  cacheControl: string
  /** Called before the first byte is sent; may throw. */
  begin?: (response: FileResponse) => Promise<void>
  /** Checked while bytes are sent: the right of the viewer or of the creator of the link. */
  right: Right
  /** The downloader for the download log; absent if `begin` records the download. */
  by?: Pick<Download, 'viewer' | 'via' | 'credential'>
  /**
   * Whether the number of downloads is limited, which rules out presigned URLs: they can be used more than
   * once.
   */
  isCounted?: boolean
  /** Key of the link whose quota is charged; absent for requests with a token. */
  link?: string | undefined
  /** The signed link of the URL, or for a file id a new one to its current version. */
  signedLink: Link
  /** Whether the URL is a signed link, which always serves the same version. */
  isPinned: boolean
}

/**
 * Resolves /download/<token>/<name> or /download/<file id>. Only tokens contain dots. The name in the URL
 * is ignored.
 */
export async function resolveDownload(
  context: Requester,
  req: IncomingMessage,
): Promise<ResolvedDownload> {
  const { pathname, searchParams } = urlOf(req)
  const [, , key = ''] = pathname.split('/')
  if (key.includes('.')) return resolveLink(context.anonymous, key)
  const ctx = await context.authenticate()
  const download = await resolveFile(ctx, key, searchParams.get('disposition'))
  const link = ctx.viewer ? undefined : quotaKey(download.file.versionId, {})
  return { ...download, by: downloaderOf(ctx, context.address), link }
}

/** Returns the right of links that were created with one token, or without any, in one workspace. */
export const linkCreatorRight = (
  ctx: ServiceContext,
  workspaceId: string,
  tokenId: string | undefined,
) => ({
  key: `${workspaceId} ${tokenId}`,
  check: () => requireLinkCreator(ctx, workspaceId, tokenId),
})

async function resolveLink(ctx: ServiceContext, token: string): Promise<ResolvedDownload> {
  const now = ctx.now()
  const parsed = readLink(ctx.signingKeys, token, now)
  const { versionId, disposition, expiresAt, tokenId, shareLinkId } = parsed
  const file = await downloadableVersion(ctx, versionId)
  const pinned = { link: quotaKey(versionId, parsed), signedLink: parsed, isPinned: true }
  if (shareLinkId)
    return { ...(await resolveShare(ctx, token, shareLinkId, file)), disposition, ...pinned }
  const right = linkCreatorRight(ctx, file.workspaceId, tokenId)
  await right.check()
  // The link is bound to one version, whose bytes never change.
  const cacheControl = `private, max-age=${Math.floor((expiresAt - now) / 1000)}, immutable`
  const by = { viewer: null, via: 'LINK', credential: token } as const
  return { ctx, file, disposition, cacheControl, by, right, ...pinned }
}

/** Reads the share on every request, so that a revoked share serves nothing. */
async function resolveShare(
  ctx: ServiceContext,
  link: string,
  shareLinkId: string,
  file: Downloadable,
) {
  const shared = await requireSharedVersion(ctx, shareLinkId, file.versionId)
  const begin = (response: FileResponse) =>
    beginSharedDownload(ctx, shared, {
      link,
      size: file.size,
      requestedBytes: bytesOf(response),
      fromStart: file.size === 0 || response.parts.some(({ range }) => range.start === 0),
    })
  const isCounted = shared.share.maxDownloads !== null
  const right = { key: shareLinkId, check: () => requireUnrevoked(ctx, shareLinkId) }
  return { ctx, file, cacheControl: 'private, no-store', begin, isCounted, right }
}

async function resolveFile(
  ctx: ServiceContext,
  fileId: string,
  requested: string | null,
): Promise<ResolvedDownload> {
  const disposition = parseDisposition(requested)
  const file = await downloadableFile(ctx, fileId).catch((error) => {
    // Without a token the response is 401, which does not reveal whether the file exists.
    throw error instanceof NotFound && !ctx.viewer ? new Unauthenticated() : error
  })
  const tokenId = ctx.viewer?.tokenId
  const right = linkCreatorRight(ctx, file.workspaceId, tokenId)
  const expiresAt = ctx.now() + LINK_TTL_MS
  const signedLink = { versionId: file.versionId, disposition, expiresAt, tokenId }
  const cacheControl = 'private, no-cache'
  return { ctx, file, disposition, cacheControl, right, signedLink, isPinned: false }
}

const downloaderOf = ({ viewer }: ServiceContext, address: string) =>
  viewer
    ? ({ viewer, via: 'TOKEN', credential: viewer.tokenId } as const)
    : ({ viewer, via: 'PUBLIC', credential: address } as const)

function parseDisposition(requested: string | null): Disposition {
  const disposition = requested?.toLowerCase() ?? 'attachment'
  if (disposition === 'attachment' || disposition === 'inline') return disposition
  throw new InvalidInput({
    path: ['disposition'],
    message: `must be attachment or inline, not ${JSON.stringify(requested)}`,
  })
}
