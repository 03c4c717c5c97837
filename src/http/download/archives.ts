import type { IncomingMessage, ServerResponse } from 'node:http'
import { Readable } from 'node:stream'
import { pipeline } from 'node:stream/promises'
import type { App } from '../../app.ts'
import { CSV_HEAD, csvLine } from '../../domains/archives/manifest.ts'
import { type ArchivePlan, planArchive } from '../../domains/archives/plan.ts'
import { archiveName, requireArchived } from '../../domains/archives/reads.ts'
import { recordArchiveDownload } from '../../domains/archives/writes.ts'
import { zipStream } from '../../domains/archives/zip/zip-stream.ts'
import { InvalidInput } from '../../errors/input.ts'
import { readArchiveLink } from '../../signing/signed-links.ts'
import { type LinkLimits, quotaKey } from '../limits/egress-limits.ts'
import { type Handler, urlOf } from '../request-context.ts'
import type { RevocationWatch } from '../revocation-watch.ts'
import type { ByteRange } from './byte-ranges.ts'
import { contentHeaders } from './content-headers.ts'
import { linkCreatorRight } from './resolve-download.ts'
import { bytesOf, type FileResponse } from './send-file.ts'
import { ignoreIfClosed, transfer } from './transfer.ts'

type Copy = {
  name: string
  mediaType: string
  size: number
  etag: string
  modifiedAt: number
  open: (range: ByteRange) => Readable
  /** Called before the first byte is sent. */
  begin?: () => Promise<void>
}
/** Charges the bytes of a response before it is sent; null if unknown. Throws RateLimited. */
type Charge = (bytes: number | null) => Promise<void>

/**
 * Creates the handler of GET and HEAD /download/archive/<token>/<name>.zip and …/manifest?format=json|csv.
 * Ranges and conditional requests work as for files. The ETag changes with every change of the archive, so
 * If-Range prevents a client from mixing two versions.
 */
export const createArchiveHandler = (
  app: App,
  links: LinkLimits,
  revocations: RevocationWatch,
): Handler => ({
  async handle(req, res, { publicUrl }) {
    const { pathname, searchParams } = urlOf(req)
    const [, , , token = '', name = ''] = pathname.split('/')
    const ctx = await app.contextFor(undefined, publicUrl)
    const link = readArchiveLink(ctx.signingKeys, token, ctx.now())
    const folder = await requireArchived(ctx, link)
    const charge: Charge = async (bytes) => {
      const key = quotaKey(link.folderId, link)
      links.downloads.admit(key, res)
      await links.quota?.consumeFor(res, key, bytes)
    }
    const format = name === 'manifest' ? parseFormat(searchParams.get('format')) : 'zip'
    await using plan = await planArchive(ctx.db, folder)
    if (format === 'csv') return await ignoreIfClosed(res, sendCsv(req, res, { plan, charge }))
    if (format === 'json') {
      return await ignoreIfClosed(res, sendCopy(req, res, { ...manifestCopy(plan), charge }))
    }
    const zip: Copy = {
      ...{ name: archiveName(folder), mediaType: 'application/zip', size: plan.size },
      ...{ etag: plan.etag, modifiedAt: plan.manifest.modifiedAt },
      open: (range) => Readable.from(zipStream(ctx, plan, range), { objectMode: false }),
      begin: () => recordArchiveDownload(ctx, folder, { bytes: plan.size }),
    }
    revocations.follow(res, linkCreatorRight(ctx, folder.workspaceId, link.tokenId))
    return await ignoreIfClosed(res, sendCopy(req, res, { ...zip, charge }))
  },
})

function parseFormat(format: string | null): 'json' | 'csv' {
  if (format === null || format === 'json') return 'json'
  if (format === 'csv') return 'csv'
  throw new InvalidInput({
    path: ['format'],
    message: `must be json or csv, not ${JSON.stringify(format)}`,
  })
}

const manifestCopy = ({ manifest, etag, openManifest }: ArchivePlan): Copy => ({
  ...manifest,
  mediaType: 'application/json',
  etag: etag.replace('"', '"manifest-'),
  open: openManifest,
})

async function sendCopy(
  req: IncomingMessage,
  res: ServerResponse,
  copy: Copy & { charge: Charge },
) {
  const validators = {
    ETag: copy.etag,
    'Accept-Ranges': 'bytes',
    'Cache-Control': 'private, no-cache',
  }
  const content = contentHeaders(copy, 'attachment')
  const begin = async (response: FileResponse) => {
    await copy.charge(bytesOf(response))
    if (response.parts.some(({ range }) => range.start === 0)) await copy.begin?.()
    return { name: copy.name, open: copy.open }
  }
  await transfer(req, res, { ...copy, kind: 'archive', validators, content, begin })
}

/** Sends the manifest as CSV, whose length is not known before it is written. */
async function sendCsv(
  req: IncomingMessage,
  res: ServerResponse,
  { plan, charge }: { plan: ArchivePlan; charge: Charge },
) {
  if (req.method === 'GET') await charge(null)
  const file = { name: 'manifest.csv', mediaType: 'text/csv' }
  res.writeHead(200, {
    ...contentHeaders(file, 'attachment'),
    'Cache-Control': 'private, no-cache',
  })
  if (req.method === 'HEAD') return void res.end()
  await pipeline(Readable.from(csvOf(plan)), res)
}

async function* csvOf(plan: ArchivePlan) {
  yield CSV_HEAD
  for await (const entry of plan.manifestEntries()) yield csvLine(entry)
}
