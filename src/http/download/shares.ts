import type { App } from '../../app.ts'
import type { ServiceContext } from '../../context.ts'
import { readPage } from '../../database/query/keyset.ts'
import { byName, childrenList } from '../../domains/entries/lists.ts'
import type { EntryRow } from '../../domains/entries/reads.ts'
import { sharedDownloadUrl } from '../../domains/sharing/downloads.ts'
import { openShare } from '../../domains/sharing/opening.ts'
import type { Shared } from '../../domains/sharing/reads.ts'
import { HttpError } from '../errors.ts'
import type { Handler } from '../request-context.ts'

const PAGE = 100

/**
 * GET /s/<token>: what a share shows, as JSON: the entry, and of a folder a page of what lies in it. ?folder=<id> goes down,
 * ?after=<next> goes on. The password goes in Holdall-Share-Password: never in a URL, which is logged and kept.
 */
export const sharesDoor = (app: App): Handler => ({
  async handle(req, res, { publicUrl, address }) {
    if (req.method !== 'GET' && req.method !== 'HEAD') throw notAllowed()
    const { pathname, searchParams } = new URL(req.url ?? '', 'http://door')
    const ctx = await app.scopeFor(undefined, publicUrl)
    const shared = await openShare(ctx, {
      token: pathname.split('/')[2] ?? '',
      password: req.headers['holdall-share-password']?.toString(),
      entryId: searchParams.get('folder'),
      address,
    })
    const body = JSON.stringify(await shown(ctx, shared, searchParams.get('after')))
    res.writeHead(200, {
      'Content-Type': 'application/json; charset=utf-8',
      'Content-Length': Buffer.byteLength(body),
      'Cache-Control': 'private, no-store',
      'Referrer-Policy': 'no-referrer',
      'X-Content-Type-Options': 'nosniff',
      'X-Robots-Tag': 'noindex',
    })
    res.end(req.method === 'HEAD' ? undefined : body)
  },
})

async function shown(ctx: ServiceContext, shared: Shared, after: string | null) {
  const { entry } = shared
  if (entry.kind === 'file') return { entry: about(entry), ...linkTo(ctx, shared, entry) }
  const list = childrenList(ctx.db, entry, {}, byName)
  const { edges, hasNextPage, endCursor } = await readPage(list, { first: PAGE, after })
  const children = edges.map(({ node }) => ({ ...about(node), ...linkTo(ctx, shared, node) }))
  return { entry: about(entry), children, next: hasNextPage ? endCursor : null, downloadUrl: null }
}

const about = ({ id, kind, name, description, size, mediaType, sha256, updatedAt }: EntryRow) => ({
  id,
  type: kind.toUpperCase(),
  name,
  description,
  size,
  ...(kind === 'file' && { mediaType, sha256 }),
  updatedAt: new Date(updatedAt).toISOString(),
})

function linkTo(ctx: ServiceContext, { share }: Shared, entry: EntryRow) {
  if (entry.kind === 'folder') return {}
  const { url, expiresAt } = sharedDownloadUrl(ctx, share, entry)
  return { downloadUrl: { url, expiresAt: new Date(expiresAt).toISOString() } }
}

const notAllowed = () =>
  new HttpError(405, 'METHOD_NOT_ALLOWED', 'only GET and HEAD here', { Allow: 'GET, HEAD' })
