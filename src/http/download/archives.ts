import type { IncomingMessage, ServerResponse } from 'node:http'
import { Readable } from 'node:stream'
import { pipeline } from 'node:stream/promises'
import type { App } from '../../app.ts'
import { CSV_HEAD, csvLine } from '../../domains/archives/manifest.ts'
import { type ArchivePlan, planArchive } from '../../domains/archives/plan.ts'
import { archiveName, requireArchived } from '../../domains/archives/reads.ts'
import { recordArchiveDownload } from '../../domains/archives/writes.ts'
import { zipStream } from '../../domains/archives/zip-stream.ts'
import { InvalidInput } from '../../errors.ts'
import { readArchiveLink } from '../../signing/signed-links.ts'
import { HttpError } from '../errors.ts'
import { type LinkLimits, quotaKey } from '../limits/egress-limits.ts'
import type { Handler } from '../request-context.ts'
import type { RevocationWatch } from '../revocation-watch.ts'
import type { ByteRange } from './byte-ranges.ts'
import { contentHeaders } from './content-headers.ts'
import { rightOfMaker } from './downloads.ts'
import { evaluatePreconditions, ifRangeMatches } from './preconditions.ts'
import { bytesOf, fileAnswer, sendFile } from './send-file.ts'

type Copy = {
  name: string
  mediaType: string
  size: number
  etag: string
  modifiedAt: number
  open: (range: ByteRange) => Readable
  /** Asked before the first byte goes out. */
  begin?: () => Promise<void>
}
/** Asked how many bytes may be sent, before any is; null where nobody knows how many it will be. Throws RateLimited. */
type Take = (bytes: number | null) => Promise<void>

/**
 * GET and HEAD of /download/archive/<token>/<name>.zip, and …/manifest?format=json|csv. Ranges and conditions as for files:
 * the ETag changes with whatever changes in the archive, and If-Range keeps two of them from being mixed.
 */
export const archivesDoor = (app: App, links: LinkLimits, watch: RevocationWatch): Handler => ({
  async handle(req, res, { publicUrl }) {
    if (req.method !== 'GET' && req.method !== 'HEAD') throw notAllowed()
    const { pathname, searchParams } = new URL(req.url ?? '', 'http://door')
    const [, , , token = '', name = ''] = pathname.split('/')
    const ctx = await app.scopeFor(undefined, publicUrl)
    const link = readArchiveLink(ctx.signingKeys, token, ctx.now())
    const folder = await requireArchived(ctx, link)
    const take: Take = async (bytes) => {
      const key = quotaKey(link.folderId, link)
      links.downloads.admit(key, res)
      await links.bytes?.takeFor(res, key, bytes)
    }
    const format = name === 'manifest' ? formatOf(searchParams.get('format')) : 'zip'
    await using plan = await planArchive(ctx.db, folder)
    if (format === 'csv') return await unlessGone(res, sendTable(req, res, { plan, take }))
    if (format === 'json') {
      return await unlessGone(res, sendCopy(req, res, { ...manifestCopy(plan), take }))
    }
    const zip: Copy = {
      ...{ name: archiveName(folder), mediaType: 'application/zip', size: plan.size },
      ...{ etag: plan.etag, modifiedAt: plan.manifest.modifiedAt },
      open: (range) => Readable.from(zipStream(ctx, plan, range), { objectMode: false }),
      begin: () => recordArchiveDownload(ctx, folder, { bytes: plan.size }),
    }
    watch.follow(res, rightOfMaker(ctx, folder.workspaceId, link.tokenId))
    return await unlessGone(res, sendCopy(req, res, { ...zip, take }))
  },
})

function formatOf(asked: string | null): 'json' | 'csv' {
  if (asked === null || asked === 'json') return 'json'
  if (asked === 'csv') return 'csv'
  throw new InvalidInput({ path: ['format'], message: 'is json or csv' })
}

const manifestCopy = ({ manifest, etag, openManifest }: ArchivePlan): Copy => ({
  ...manifest,
  mediaType: 'application/json',
  etag: etag.replace('"', '"manifest-'),
  open: openManifest,
})

async function sendCopy(req: IncomingMessage, res: ServerResponse, copy: Copy & { take: Take }) {
  const validators = {
    ETag: copy.etag,
    'Accept-Ranges': 'bytes',
    'Cache-Control': 'private, no-cache',
  }
  const verdict = evaluatePreconditions(req.headers, copy)
  if (verdict === 'failed') throw notThatCopy()
  if (verdict === 'not modified') return void res.writeHead(304, validators).end()
  const content = contentHeaders(copy, 'attachment')
  const isGet = req.method === 'GET'
  const range = isGet && ifRangeMatches(req.headers, copy) ? req.headers.range : undefined
  const answer = fileAnswer({ size: copy.size, contentType: content['Content-Type'] }, range)
  const headers = { ...validators, ...content, ...answer.headers }
  if (!isGet) return void res.writeHead(answer.status, headers).end()
  await copy.take(bytesOf(answer))
  if (answer.parts.some(({ range }) => range.start === 0)) await copy.begin?.()
  const open = async (_: string, part?: { start: number; end?: number }) =>
    copy.open({ start: part?.start ?? 0, end: part?.end ?? copy.size - 1 })
  await sendFile(res, { ...answer, headers }, { blobs: { open }, blobId: copy.name })
}

/** How long it is nobody knows before it is written. */
async function sendTable(
  req: IncomingMessage,
  res: ServerResponse,
  { plan, take }: { plan: ArchivePlan; take: Take },
) {
  if (req.method === 'GET') await take(null)
  const about = { name: 'manifest.csv', mediaType: 'text/csv' }
  res.writeHead(200, {
    ...contentHeaders(about, 'attachment'),
    'Cache-Control': 'private, no-cache',
  })
  if (req.method === 'HEAD') return void res.end()
  await pipeline(Readable.from(tableOf(plan)), res)
}

async function* tableOf(plan: ArchivePlan) {
  yield CSV_HEAD
  for await (const entry of plan.manifestEntries()) yield csvLine(entry)
}

/** Nobody is there any more to be told of an error, and nothing is wrong here. */
async function unlessGone(res: ServerResponse, sending: Promise<void>) {
  await sending.catch((error) => {
    if (!res.destroyed) throw error
  })
}

const notAllowed = () =>
  new HttpError(405, 'METHOD_NOT_ALLOWED', 'only GET and HEAD here', { Allow: 'GET, HEAD' })

const notThatCopy = () =>
  new HttpError(412, 'PRECONDITION_FAILED', 'the archive is not the one that the condition names')
