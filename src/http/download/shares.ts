import type { App } from '../../app.ts'
import type { ServiceContext } from '../../context.ts'
import { readPage } from '../../database/query/keyset.ts'
import { byName, childrenList } from '../../domains/entries/lists/lists.ts'
import type { EntryRow } from '../../domains/entries/reads.ts'
import { sharedDownloadUrl } from '../../domains/sharing/downloads.ts'
import { openShare } from '../../domains/sharing/opening.ts'
import type { Shared } from '../../domains/sharing/reads.ts'
import { type Handler, urlOf } from '../request-context.ts'

const PAGE_SIZE = 100

/**
 * Creates the handler of GET and HEAD /s/<token>, which returns the shared entry as JSON, with one page of
 * the children of a folder. ?folder=<id> selects a subfolder and ?after=<next> the next page. The password
 * is sent in the header Holdall-Share-Password, because URLs are logged.
 */
export const createShareHandler = (app: App): Handler => ({
  async handle(req, res, { publicUrl, address }) {
    const { pathname, searchParams } = urlOf(req)
    const ctx = await app.contextFor(undefined, publicUrl)
    const shared = await openShare(ctx, {
      token: pathname.split('/')[2] ?? '',
      password: req.headers['holdall-share-password']?.toString(),
      entryId: searchParams.get('folder'),
      address,
    })
    const body = JSON.stringify(await shareJson(ctx, shared, searchParams.get('after')))
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

async function shareJson(ctx: ServiceContext, shared: Shared, after: string | null) {
  const { entry } = shared
  if (entry.kind === 'file') return { entry: entryJson(entry), ...downloadLink(ctx, shared, entry) }
  const list = childrenList(ctx.db, entry, {}, byName)
  const { edges, hasNextPage, endCursor } = await readPage(list, { first: PAGE_SIZE, after })
  const children = edges.map(({ node }) => ({
    ...entryJson(node),
    ...downloadLink(ctx, shared, node),
  }))
  return {
    entry: entryJson(entry),
    children,
    next: hasNextPage ? endCursor : null,
    downloadUrl: null,
  }
}

const entryJson = ({
  id,
  kind,
  name,
  description,
  size,
  mediaType,
  sha256,
  updatedAt,
}: EntryRow) => ({
  id,
  type: kind.toUpperCase(),
  name,
  description,
  size,
  ...(kind === 'file' && { mediaType, sha256 }),
  updatedAt: new Date(updatedAt).toISOString(),
})

function downloadLink(ctx: ServiceContext, { share }: Shared, entry: EntryRow) {
  if (entry.kind === 'folder') return {}
  const { url, expiresAt } = sharedDownloadUrl(ctx, share, entry)
  return { downloadUrl: { url, expiresAt: new Date(expiresAt).toISOString() } }
}
