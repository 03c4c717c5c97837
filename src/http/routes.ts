import type { App } from '../app.ts'
import { openDownloadLog } from '../domains/files/downloads.ts'
import { createArchiveHandler } from './download/archives.ts'
import { createDownloadHandler } from './download/downloads.ts'
import { createShareHandler } from './download/shares.ts'
import { HttpError } from './errors.ts'
import { createGraphqlHandler } from './graphql/endpoint.ts'
import { acceptsHtml, createGraphiqlHandler } from './graphql/graphiql.ts'
import { createLinkLimits, type LinkLimits } from './limits/egress-limits.ts'
import { createReadinessHandler, livenessHandler } from './ops/health.ts'
import { createMetricsHandler, type Metrics } from './ops/metrics.ts'
import type { Handler } from './request-context.ts'
import { createRevocationWatch, type RevocationWatch } from './revocation-watch.ts'
import { createTusHandler } from './tus/endpoint.ts'
import { createFormHandler } from './upload/multipart-upload.ts'
import { createSignedPutHandler } from './upload/signed-put.ts'

export type Route = {
  /** Name in logs and metrics. */
  name: string
  matches: (path: string) => boolean
  handler: Handler
  /** Whether a request may take hours; other routes limit the time of the body to a minute. */
  isLong?: boolean
  /** Whether the route still serves requests while the server closes. */
  servesWhileClosing?: boolean
  /** Status of a request that is rejected because the server closes; 503 by default. */
  closingStatus?: 423 | 503
  /** Whether the handler itself answers OPTIONS. */
  handlesOptions?: boolean
}

/** Returns the routes in matching order. The last one matches every path. */
export function createRoutes(app: App, metrics: Metrics): Route[] {
  const links = createLinkLimits(app)
  const revocations = createRevocationWatch()
  return [
    {
      name: 'graphql',
      matches: is('/graphql'),
      handler: pageOrQuery(app),
      servesWhileClosing: true,
    },
    {
      name: 'put',
      matches: below('/uploads/put/'),
      handler: charged(createSignedPutHandler(app)),
      isLong: true,
    },
    {
      name: 'uploads',
      matches: (path) => path === '/uploads' || path.startsWith('/uploads/'),
      handler: createTusHandler(app),
      isLong: true,
      servesWhileClosing: true,
      handlesOptions: true,
    },
    {
      name: 'files',
      matches: (path) => /^\/files\/?$/.test(path),
      handler: charged(createFormHandler(app)),
      isLong: true,
    },
    {
      name: 'archive',
      matches: below('/download/archive/'),
      handler: charged(createArchiveHandler(app, links, revocations)),
    },
    {
      name: 'download',
      matches: below('/download/'),
      handler: charged(createDownloadRoute(app, links, revocations)),
    },
    { name: 'share', matches: below('/s/'), handler: charged(createShareHandler(app)) },
    {
      name: 'livez',
      matches: is('/livez'),
      handler: readOnly(livenessHandler),
      servesWhileClosing: true,
    },
    {
      name: 'readyz',
      matches: is('/readyz'),
      handler: readOnly(createReadinessHandler(app)),
      servesWhileClosing: true,
    },
    {
      name: 'metrics',
      matches: is('/metrics'),
      handler: readOnly(createMetricsHandler(metrics, app.config)),
      servesWhileClosing: true,
    },
    { name: 'root', matches: is('/'), handler: readOnly(redirectToGraphiql) },
    { name: 'none', matches: () => true, handler: notFound },
  ]
}

const is = (wanted: string) => (path: string) => path === wanted
const below = (prefix: string) => (path: string) => path.startsWith(prefix)

/** Charges one point per request. Handlers with other costs charge for themselves. */
const charged = (handler: Handler): Handler => ({
  ...handler,
  async handle(req, res, context) {
    await context.charge.consume(1)
    return handler.handle(req, res, context)
  },
})

const readOnly = (handler: Handler): Handler => ({
  ...handler,
  handle(req, res, context) {
    if (req.method === 'GET' || req.method === 'HEAD') return handler.handle(req, res, context)
    throw new HttpError(405, 'METHOD_NOT_ALLOWED', 'method not allowed; use GET or HEAD', {
      Allow: 'GET, HEAD',
    })
  },
})

function pageOrQuery(app: App): Handler {
  const page = createGraphiqlHandler()
  const graphql = createGraphqlHandler(app)
  return {
    ...graphql,
    handle: (req, res, context) => (acceptsHtml(req) ? page : graphql).handle(req, res, context),
  }
}

function createDownloadRoute(app: App, links: LinkLimits, revocations: RevocationWatch): Handler {
  const onError = (err: unknown) => app.log.error({ err }, 'recording downloads failed')
  const downloads = openDownloadLog({ ...app, viewer: null, publicUrl: '' }, onError)
  return {
    async handle(req, res, { requestId, publicUrl, address, authenticate }) {
      const anonymous = await app.contextFor(undefined, publicUrl)
      const log = (err: unknown) => app.log.error({ err }, 'unexpected')
      const errorContext = () => ({ requestId, log })
      const redirects = app.config.downloads === 'redirect'
      const downloadContext = {
        authenticate,
        anonymous,
        address,
        downloads,
        links,
        revocations,
        redirects,
        errorContext,
      }
      return createDownloadHandler(downloadContext)(req, res)
    },
    drain: downloads.flush,
  }
}

const redirectToGraphiql: Handler = {
  handle: (_, res) => res.writeHead(302, { Location: '/graphql' }).end(),
}

const notFound: Handler = {
  handle() {
    throw new HttpError(404, 'NOT_FOUND', 'no such route; the API is at /graphql')
  },
}
