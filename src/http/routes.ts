import type { App } from '../app.ts'
import { openDownloadLog } from '../domains/files/downloads.ts'
import { archivesDoor } from './download/archives.ts'
import { downloadHandler } from './download/downloads.ts'
import { sharesDoor } from './download/shares.ts'
import { HttpError } from './errors.ts'
import { graphqlDoor } from './graphql/endpoint.ts'
import { acceptsHtml, graphiqlDoor } from './graphql/graphiql.ts'
import { type LinkLimits, openLinkLimits } from './limits/egress-limits.ts'
import { livenessDoor, readinessDoor } from './ops/health.ts'
import { type Metrics, metricsDoor } from './ops/metrics.ts'
import type { Handler } from './request-context.ts'
import { openRevocationWatch, type RevocationWatch } from './revocation-watch.ts'
import { uploadsDoor } from './tus/endpoint.ts'
import { formsDoor } from './upload/multipart-upload.ts'
import { putsDoor } from './upload/signed-put.ts'

export type Route = {
  /** As logs and metrics call it. */
  name: string
  matches: (path: string) => boolean
  door: Handler
  /** May take hours over a request; the others have a minute. */
  takesLong?: boolean
  /** Whether it still answers while the house closes. */
  whileClosing?: boolean
  /** The status of a request that came too late. */
  closingStatus?: 423 | 503
  /** Whether OPTIONS means something beyond the preflight of a browser. */
  knowsOptions?: boolean
}

/** The doors, in the order in which they are tried; the last takes everything. */
export function openRoutes(app: App, metrics: Metrics): Route[] {
  const links = openLinkLimits(app)
  const watch = openRevocationWatch()
  return [
    { name: 'graphql', matches: is('/graphql'), door: pageOrQuery(app), whileClosing: true },
    { name: 'put', matches: below('/uploads/put/'), door: tolled(putsDoor(app)), takesLong: true },
    {
      name: 'uploads',
      matches: (path) => path === '/uploads' || path.startsWith('/uploads/'),
      door: uploadsDoor(app),
      takesLong: true,
      whileClosing: true,
      knowsOptions: true,
    },
    {
      name: 'files',
      matches: (path) => /^\/files\/?$/.test(path),
      door: tolled(formsDoor(app)),
      takesLong: true,
    },
    {
      name: 'archive',
      matches: below('/download/archive/'),
      door: tolled(archivesDoor(app, links, watch)),
    },
    {
      name: 'download',
      matches: below('/download/'),
      door: tolled(downloadDoor(app, links, watch)),
    },
    { name: 'share', matches: below('/s/'), door: tolled(sharesDoor(app)) },
    { name: 'livez', matches: is('/livez'), door: readOnly(livenessDoor), whileClosing: true },
    {
      name: 'readyz',
      matches: is('/readyz'),
      door: readOnly(readinessDoor(app)),
      whileClosing: true,
    },
    {
      name: 'metrics',
      matches: is('/metrics'),
      door: readOnly(metricsDoor(metrics, app.config)),
      whileClosing: true,
    },
    { name: 'root', matches: is('/'), door: readOnly(toGraphiql) },
    { name: 'none', matches: () => true, door: nothingHere },
  ]
}

const is = (wanted: string) => (path: string) => path === wanted
const below = (prefix: string) => (path: string) => path.startsWith(prefix)

/** A point for each request. The doors that ask otherwise do it themselves. */
const tolled = (door: Handler): Handler => ({
  ...door,
  async handle(req, res, visit) {
    await visit.toll.pay(1)
    return door.handle(req, res, visit)
  },
})

const readOnly = (door: Handler): Handler => ({
  ...door,
  handle(req, res, visit) {
    if (req.method === 'GET' || req.method === 'HEAD') return door.handle(req, res, visit)
    throw new HttpError(405, 'METHOD_NOT_ALLOWED', 'only GET and HEAD here', {
      Allow: 'GET, HEAD',
    })
  },
})

function pageOrQuery(app: App): Handler {
  const page = graphiqlDoor()
  const graphql = graphqlDoor(app)
  return {
    ...graphql,
    handle: (req, res, visit) => (acceptsHtml(req) ? page : graphql).handle(req, res, visit),
  }
}

function downloadDoor(app: App, links: LinkLimits, watch: RevocationWatch): Handler {
  const failed = (err: unknown) => app.log.error({ err }, 'downloads could not be logged')
  const downloads = openDownloadLog({ ...app, viewer: null, publicUrl: '' }, failed)
  return {
    async handle(req, res, { requestId, publicUrl, address, scope }) {
      const nobody = await app.scopeFor(undefined, publicUrl)
      const log = (err: unknown) => app.log.error({ err }, 'unexpected')
      const problems = () => ({ requestId, log })
      const redirects = app.config.downloads === 'redirect'
      const given = {
        scopeFor: scope,
        nobody,
        address,
        downloads,
        links,
        watch,
        redirects,
        problems,
      }
      return downloadHandler(given)(req, res)
    },
    drain: downloads.flush,
  }
}

const toGraphiql: Handler = {
  handle: (_, res) => res.writeHead(302, { Location: '/graphql' }).end(),
}

const nothingHere: Handler = {
  handle() {
    throw new HttpError(404, 'NOT_FOUND', 'nothing is here; the API is at /graphql')
  },
}
