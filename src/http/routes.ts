import type { App } from '../app.ts'
import { openDownloadLog } from '../domains/files/downloads.ts'
import { createArchiveHandler } from './download/archives.ts'
import { createDownloadHandler } from './download/downloads.ts'
import { createShareHandler } from './download/shares.ts'
import { HttpError, methodNotAllowed } from './errors.ts'
import { createGraphqlHandler } from './graphql/endpoint.ts'
import { acceptsHtml, createGraphiqlHandler } from './graphql/graphiql.ts'
import { rejectSingleConnection, STREAM_PATH } from './graphql/other-transports.ts'
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
  /**
   * Allowed methods; others are 405. Absent if the method line does not decide: Yoga also looks at the
   * operation, and tus at X-HTTP-Method-Override.
   */
  methods?: readonly string[]
  handler: Handler
  /** Whether a request may take hours; other routes limit the time of the body to a minute. */
  isLong?: boolean
  /** Whether the route still serves requests while the server closes. */
  servesWhileClosing?: boolean
  /** Whether the handler itself answers OPTIONS. */
  handlesOptions?: boolean
}

/** Returns the routes in matching order. The last one matches every path. */
export function createRoutes(app: App, metrics: Metrics): Route[] {
  return declareRoutes(app, metrics).map((route) => ({ ...route, handler: admitting(route) }))
}

type DeclaredRoute = Route & {
  /** Whether each request costs one point. Handlers with other costs charge for themselves. */
  isCharged?: boolean
}

const readMethods = ['GET', 'HEAD']

function declareRoutes(app: App, metrics: Metrics): DeclaredRoute[] {
  const links = createLinkLimits(app)
  const revocations = createRevocationWatch()
  return [
    {
      name: 'graphql',
      matches: (path) => path === '/graphql' || path === STREAM_PATH,
      handler: pageOrQuery(app),
      servesWhileClosing: true,
    },
    {
      name: 'put',
      matches: below('/uploads/put/'),
      methods: ['PUT', 'OPTIONS'],
      handler: createSignedPutHandler(app),
      isCharged: true,
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
      methods: ['POST', 'OPTIONS'],
      handler: createFormHandler(app),
      isCharged: true,
      isLong: true,
    },
    {
      name: 'archive',
      matches: below('/download/archive/'),
      methods: readMethods,
      handler: createArchiveHandler(app, links, revocations),
      isCharged: true,
    },
    {
      name: 'download',
      matches: below('/download/'),
      methods: readMethods,
      handler: createDownloadRoute(app, links, revocations),
      isCharged: true,
    },
    {
      name: 'share',
      matches: below('/s/'),
      methods: readMethods,
      handler: createShareHandler(app),
      isCharged: true,
    },
    {
      name: 'livez',
      matches: is('/livez'),
      methods: readMethods,
      handler: livenessHandler,
      servesWhileClosing: true,
    },
    {
      name: 'readyz',
      matches: is('/readyz'),
      methods: readMethods,
      handler: createReadinessHandler(app),
      servesWhileClosing: true,
    },
    {
      name: 'metrics',
      matches: is('/metrics'),
      methods: readMethods,
      handler: createMetricsHandler(metrics, app.config),
      servesWhileClosing: true,
    },
    { name: 'root', matches: is('/'), methods: readMethods, handler: redirectToGraphiql(app) },
    { name: 'none', matches: () => true, handler: notFound },
  ]
}

const is = (wanted: string) => (path: string) => path === wanted
const below = (prefix: string) => (path: string) => path.startsWith(prefix)

/** Charges the request and checks its method before the handler runs. A 405 costs a point, too. */
const admitting = ({ handler, methods, isCharged }: DeclaredRoute): Handler => ({
  ...handler,
  async handle(req, res, context) {
    if (isCharged) await context.charge.consume(1)
    // The server answers preflights before this. Every other OPTIONS is 405.
    const isAllowed = req.method !== 'OPTIONS' && methods?.includes(req.method ?? '')
    if (methods && !isAllowed) throw methodNotAllowed(methods)
    return handler.handle(req, res, context)
  },
})

function pageOrQuery(app: App): Handler {
  const isPersistedOnly = app.config.persistedDocuments.mode === 'only'
  const page = isPersistedOnly ? withoutGraphiql : createGraphiqlHandler()
  const graphql = createGraphqlHandler(app)
  return {
    ...graphql,
    handle(req, res, context) {
      rejectSingleConnection(req)
      return (acceptsHtml(req) ? page : graphql).handle(req, res, context)
    },
  }
}

const withoutGraphiql: Handler = {
  handle() {
    throw new HttpError(
      404,
      'NOT_FOUND',
      'this server runs only listed documents, so GraphiQL is off',
    )
  },
}

function createDownloadRoute(app: App, links: LinkLimits, revocations: RevocationWatch): Handler {
  const onError = (err: unknown) => app.log.error({ err }, 'recording downloads failed')
  const downloads = openDownloadLog({ ...app, viewer: null, publicUrl: '' }, onError)
  return {
    async handle(req, res, { publicUrl, address, authenticate }) {
      const anonymous = await app.contextFor(undefined, publicUrl)
      const redirects = app.config.downloads === 'redirect'
      const downloadContext = {
        authenticate,
        anonymous,
        address,
        downloads,
        links,
        revocations,
        redirects,
      }
      return createDownloadHandler(downloadContext)(req, res)
    },
    drain: downloads.flush,
  }
}

/** Without PUBLIC_URL only the path is certain: the proxy may use TLS without saying so. */
const redirectToGraphiql = ({ config }: App): Handler => ({
  handle(_, res, { publicUrl }) {
    const base = config.publicUrl ?? new URL(publicUrl).pathname.replace(/\/$/, '')
    res.writeHead(302, { Location: `${base}/graphql` }).end()
  },
})

const notFound: Handler = {
  handle() {
    throw new HttpError(404, 'NOT_FOUND', 'no such route; the API is at /graphql')
  },
}
