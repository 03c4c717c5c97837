import type { IncomingMessage, ServerResponse } from 'node:http'
import type { ServiceContext } from '../../context.ts'
import type { Download, DownloadLog } from '../../domains/files/downloads.ts'
import {
  type Downloadable,
  downloadableFile,
  downloadableVersion,
} from '../../domains/files/reads.ts'
import { beginSharedDownload } from '../../domains/sharing/downloads.ts'
import { requireSharedVersion, requireUnrevoked } from '../../domains/sharing/reads.ts'
import { requireLinkCreator } from '../../domains/workspaces/reads.ts'
import { InvalidInput, NotFound, Unauthenticated } from '../../errors.ts'
import { readLink } from '../../signing/signed-links.ts'
import { HttpError, type ProblemContext, sendProblem } from '../errors.ts'
import { type LinkBytes, type LinkLimits, quotaKey } from '../limits/egress-limits.ts'
import type { RevocationWatch, Right } from '../revocation-watch.ts'
import { contentHeaders, type Disposition } from './content-headers.ts'
import { evaluatePreconditions, ifRangeMatches } from './preconditions.ts'
import { canPresign, sendToBucket } from './presigned-redirect.ts'
import { bytesOf, type FileResponse, fileAnswer, sendFile } from './send-file.ts'

/** What the door is given. */
export type DownloadDoor = {
  /** The scope of who asks, by the Authorization header; throws Unauthenticated. */
  scopeFor: (req: IncomingMessage) => Promise<ServiceContext>
  /** The scope of nobody in particular: a signed link needs no other proof. */
  nobody: ServiceContext
  /** Where the request comes from. */
  address: string
  downloads: DownloadLog
  links: LinkLimits
  watch: RevocationWatch
  /** Whether clients are sent to the bucket, where there is one. */
  redirects: boolean
  problems: (req: IncomingMessage) => ProblemContext
}

/**
 * GET and HEAD of /download/…: a signed link to one version, or a file id with a bearer token to its current version.
 * Ranges and conditions by RFC 9110. A fault in the middle cuts the answer off.
 */
export function downloadHandler(door: DownloadDoor) {
  return async (req: IncomingMessage, res: ServerResponse): Promise<void> => {
    try {
      await download(door, req, res)
    } catch (error) {
      // Nobody is there any more to be told, and nothing is wrong here.
      if (!res.destroyed) sendProblem(res, error, door.problems(req))
    }
  }
}

async function download(door: DownloadDoor, req: IncomingMessage, res: ServerResponse) {
  if (req.method !== 'GET' && req.method !== 'HEAD') throw notAllowed()
  const asked = await requested(door, req)
  const { ctx, file, disposition, cacheControl, begin, by } = asked
  const copy = { etag: `"${file.sha256}"`, modifiedAt: file.modifiedAt }
  const validators = {
    ETag: copy.etag,
    'Last-Modified': new Date(copy.modifiedAt).toUTCString(),
    'Accept-Ranges': 'bytes',
    'Cache-Control': cacheControl,
  }
  const verdict = evaluatePreconditions(req.headers, copy)
  if (verdict === 'failed') throw notThatCopy()
  if (verdict === 'not modified') return void res.writeHead(304, validators).end()

  const content = contentHeaders(file, disposition)
  const about = { size: file.size, contentType: content['Content-Type'] }
  // RFC 9110, section 14.2: Range means something for GET alone.
  const rangeHeader =
    req.method === 'GET' && ifRangeMatches(req.headers, copy) ? req.headers.range : undefined
  const answer = fileAnswer(about, rangeHeader)
  const headers = { ...validators, ...content, ...answer.headers }
  if (req.method === 'HEAD') return void res.writeHead(answer.status, headers).end()
  const onBegin = () => by && door.downloads.note({ ...by, ...whatIsAsked(file, answer) })
  const mayRedirect = door.redirects && !asked.counted && canPresign(req.headers, answer)
  const presigned = mayRedirect ? ctx.blobs.presigned : undefined
  if (asked.link) {
    const { bytes, downloads } = door.links
    downloads.admit(asked.link, res)
    const sending = { res, file, answer, toBucket: presigned !== undefined }
    if (bytes) await takeBytes(bytes, asked.link, sending)
  }
  await begin?.(answer)
  if (presigned) {
    return sendToBucket(res, { presigned, key: file.blobId, content, now: ctx.now(), onBegin })
  }
  door.watch.follow(res, asked.still)
  await sendFile(res, { ...answer, headers }, { blobs: ctx.blobs, blobId: file.blobId, onBegin })
}

type Sending = { res: ServerResponse; file: Downloadable; answer: FileResponse; toBucket: boolean }

/** The bucket gives all of it to whoever has its URL, whatever this one asks for. */
async function takeBytes(linkBytes: LinkBytes, link: string, sending: Sending) {
  const { res, file, answer, toBucket } = sending
  if (toBucket) await linkBytes.take(link, file.size)
  else await linkBytes.takeFor(res, link, bytesOf(answer))
}

const whatIsAsked = ({ versionId }: Downloadable, answer: FileResponse) => ({
  versionId,
  whole: answer.status === 200,
  bytes: bytesOf(answer),
})

type Asked = {
  ctx: ServiceContext
  file: Downloadable
  disposition: Disposition
  cacheControl: string
  /** Asked before the first byte goes out; may still refuse. */
  begin?: (answer: FileResponse) => Promise<void>
  /** Asked again while the bytes go out: NotFound once whoever asks, or made the link, may no longer have them. */
  still: Right
  /** Whose download the log calls it; absent where `begin` writes it down. */
  by?: Pick<Download, 'viewer' | 'via' | 'shown'>
  /** Only so many downloads are given: a URL of the bucket could be used more than once. */
  counted?: boolean
  /** What the bytes count for; absent for who shows a token. */
  link?: string | undefined
}

/** /download/<token>/<name>, or /download/<file id>; only tokens have dots. The name is for people, the row has the real one. */
async function requested(door: DownloadDoor, req: IncomingMessage): Promise<Asked> {
  const { pathname, searchParams } = new URL(req.url ?? '', 'http://door')
  const [, , key = ''] = pathname.split('/')
  if (key.includes('.')) return bySignature(door.nobody, key)
  const asked = await byBearer(await door.scopeFor(req), key, searchParams.get('disposition'))
  const link = asked.ctx.viewer ? undefined : quotaKey(asked.file.versionId, {})
  return { ...asked, by: bearerIn(asked.ctx, door.address), link }
}

/** Of what was linked to with this token, or without any, in one workspace. */
export const rightOfMaker = (
  ctx: ServiceContext,
  workspaceId: string,
  tokenId: string | undefined,
) => ({
  key: `${workspaceId} ${tokenId}`,
  ask: () => requireLinkCreator(ctx, workspaceId, tokenId),
})

async function bySignature(ctx: ServiceContext, token: string): Promise<Asked> {
  const now = ctx.now()
  const said = readLink(ctx.signingKeys, token, now)
  const { versionId, disposition, expiresAt, tokenId, shareLinkId } = said
  const link = quotaKey(versionId, said)
  const file = await downloadableVersion(ctx, versionId)
  if (shareLinkId) return { ...(await byShare(ctx, token, shareLinkId, file)), disposition, link }
  const still = rightOfMaker(ctx, file.workspaceId, tokenId)
  await still.ask()
  // Bound to one version, whose bytes never change.
  const cacheControl = `private, max-age=${Math.floor((expiresAt - now) / 1000)}, immutable`
  const by = { viewer: null, via: 'LINK', shown: token } as const
  return { ctx, file, disposition, cacheControl, by, still, link }
}

/** The share is asked each time: what was revoked a moment ago opens nothing. */
async function byShare(ctx: ServiceContext, link: string, shareLinkId: string, file: Downloadable) {
  const shared = await requireSharedVersion(ctx, shareLinkId, file.versionId)
  const begin = (answer: FileResponse) =>
    beginSharedDownload(ctx, shared, {
      link,
      size: file.size,
      askedBytes: bytesOf(answer),
      fromStart: file.size === 0 || answer.parts.some(({ range }) => range.start === 0),
    })
  const counted = shared.share.maxDownloads !== null
  const still = { key: shareLinkId, ask: () => requireUnrevoked(ctx, shareLinkId) }
  return { ctx, file, cacheControl: 'private, no-store', begin, counted, still }
}

async function byBearer(ctx: ServiceContext, fileId: string, asked: string | null): Promise<Asked> {
  const disposition = dispositionOf(asked)
  const file = await downloadableFile(ctx, fileId).catch((error) => {
    // Who shows no token is asked for one, and learns nothing of what is there.
    throw error instanceof NotFound && !ctx.viewer ? new Unauthenticated() : error
  })
  const still = rightOfMaker(ctx, file.workspaceId, ctx.viewer?.tokenId)
  return { ctx, file, disposition, cacheControl: 'private, no-cache', still }
}

const bearerIn = ({ viewer }: ServiceContext, address: string) =>
  viewer
    ? ({ viewer, via: 'TOKEN', shown: viewer.tokenId } as const)
    : ({ viewer, via: 'PUBLIC', shown: address } as const)

function dispositionOf(asked: string | null): Disposition {
  const disposition = asked?.toLowerCase() ?? 'attachment'
  if (disposition === 'attachment' || disposition === 'inline') return disposition
  throw new InvalidInput({ path: ['disposition'], message: 'is attachment or inline' })
}

const notAllowed = () =>
  new HttpError(405, 'METHOD_NOT_ALLOWED', 'only GET and HEAD here', { Allow: 'GET, HEAD' })

const notThatCopy = () =>
  new HttpError(412, 'PRECONDITION_FAILED', 'the file is not the one that the condition names')
