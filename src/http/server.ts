import { once } from 'node:events'
import { createServer, type IncomingMessage, type Server, type ServerResponse } from 'node:http'
import type { AddressInfo } from 'node:net'
import { setTimeout as sleep } from 'node:timers/promises'
import type { App } from '../app.ts'
import { recordRequest } from '../blobs/yield-to-requests.ts'
import { duringRequest } from '../log.ts'
import { closeAfter, drainRequest, limitBodyTime } from './connections.ts'
import { allowOrigin, isPreflight } from './cors.ts'
import { endStalledResponses } from './download/stalled-responses.ts'
import { HttpError, sendError } from './errors.ts'
import { continueWhenRead } from './expect-continue.ts'
import { rejectWebSocket } from './graphql/other-transports.ts'
import { createAddressLimits } from './limits/address-limits.ts'
import { createAuthFailureLog } from './limits/auth-failures.ts'
import { answerMalformed } from './limits/malformed-requests.ts'
import { createRateLimits } from './limits/rate-limits.ts'
import { createMetrics, createMetricsServer } from './ops/metrics.ts'
import { createRequestContext, requestIdOf } from './request-context.ts'
import { createRoutes, type Route } from './routes.ts'
import { defaultBodyTimeouts } from './tus/receive-body.ts'

/** The HTTP server of the application and the server of METRICS_PORT. */
export type HttpServer = {
  /** Resolves with the port once the server listens. Rejects with the error of the operating system. */
  listen: (port: number, host: string) => Promise<number>
  /** Listens on the port that serves only /metrics. Resolves with the port. */
  listenForMetrics: (port: number, host: string) => Promise<number>
  /**
   * Reports not ready, keeps serving GraphQL for DRAIN_SECONDS until load balancers notice, and then closes
   * the listener. Further calls wait for the first.
   */
  drain: () => Promise<void>
  /**
   * Drains, waits for requests in flight, and closes all connections `graceMs` after the drain began. The
   * drain itself takes at most `graceMs`.
   */
  close: (graceMs?: number) => Promise<void>
}

/** Bodies may take hours, headers may not. 65 s is longer than load balancers keep an idle connection. */
const timeouts = { requestTimeout: 0, headersTimeout: 30_000, keepAliveTimeout: 65_000 }

/** Minimum time for requests in flight from the beginning of a shutdown. */
const GRACE_MS = 8_000
/** Minimum time for requests in flight after the listener has closed. */
const AFTER_DRAIN_MS = 3_000

/**
 * Creates the HTTP server of all routes. `paceMs` is the period over which a client must read at the
 * minimum rate.
 */
export function createHttpServer(
  app: App,
  { paceMs = defaultBodyTimeouts.paceMs } = {},
): HttpServer {
  const metrics = createMetrics(app)
  const routes = createRoutes(app, metrics)
  const chargeFor = createRateLimits(app)
  const recordAuthFailure = createAuthFailureLog(app)
  const addresses = createAddressLimits(app.config)
  const inFlight = new Set<ServerResponse>()
  const stalled = endStalledResponses(inFlight, paceMs)
  const { drainMs } = app.config
  let closing = false
  let drained: Promise<void> | undefined

  const receive = (req: IncomingMessage, res: ServerResponse) => {
    const requestId = requestIdOf(req)
    void duringRequest(requestId, () => serve(req, res, requestId))
  }
  const server = createServer({ ...timeouts, maxHeaderSize: app.config.maxHeaderBytes }, receive)
  answerMalformed(server, app.config, inFlight)
  continueWhenRead(server, receive)

  server.on('connection', addresses.admitConnection)

  const metricsServer = createMetricsServer(metrics, app, recordAuthFailure)

  async function serve(req: IncomingMessage, res: ServerResponse, requestId: string) {
    const route = routeOf(req, routes)
    try {
      track(req, res, route)
      res.setHeader('X-Request-Id', requestId)
      allowOrigin(app.config.corsOrigins, req, res)
      rejectWebSocket(req)
      if (closing && !route.servesWhileClosing) throw closingError()
      if (isPreflight(req) && !route.handlesOptions) return res.writeHead(204).end()
      const context = createRequestContext(app, req, { requestId, recordAuthFailure })
      const charge = addresses.limit(chargeFor(req, res, context.authenticate), req, res)
      return await route.handler.handle(req, res, { ...context, charge })
    } catch (error) {
      const log = (err: unknown) =>
        app.log.error({ err, route: route.name, method: req.method }, 'unexpected')
      return sendError(res, error, { requestId, log })
    }
  }

  /** Tracks a request until its response closes, for metrics, logs and shutdown. */
  function track(req: IncomingMessage, res: ServerResponse, { name: route, isLong }: Route) {
    const startedAt = performance.now()
    inFlight.add(res)
    if (closing) closeAfter(res)
    if (!isLong) {
      limitBodyTime(req)
      recordRequest()
    }
    drainRequest(req, res)
    res.once('close', () => {
      inFlight.delete(res)
      const ms = Math.round(performance.now() - startedAt)
      metrics.observe(req, route, res.statusCode, ms / 1000)
      app.log.debug({ route, method: req.method, status: res.statusCode, ms }, 'answered')
    })
  }

  async function drainFor(ms: number) {
    closing = true
    for (const res of inFlight) closeAfter(res)
    const stopped = Promise.all(routes.map(({ handler }) => handler.drain?.()))
    await sleep(ms)
    for (const { handler } of routes) handler.refuse?.()
    server.close()
    await stopped
  }
  const drain = (ms = drainMs) => {
    drained ??= drainFor(ms)
    return drained
  }

  return {
    listen: (port, host) => listenOn(server, port, host),
    listenForMetrics: (port, host) => listenOn(metricsServer, port, host),
    drain: () => drain(),
    async close(graceMs = Math.max(GRACE_MS, drainMs + AFTER_DRAIN_MS)) {
      const closed = once(server, 'close')
      const timer = setTimeout(() => {
        server.close()
        server.closeAllConnections()
      }, graceMs)
      await drain(Math.min(drainMs, graceMs))
      await closed
      clearTimeout(timer)
      stalled[Symbol.dispose]()
      metricsServer.close()
      metricsServer.closeAllConnections()
    },
  }
}

async function listenOn(server: Server, port: number, host: string): Promise<number> {
  server.listen(port, host)
  await once(server, 'listening')
  return (server.address() as AddressInfo).port
}

/** The last route matches every path, so a route is always found. */
const routeOf = ({ url = '' }: IncomingMessage, routes: Route[]) => {
  const path = url.split('?', 1)[0] ?? ''
  return routes.find(({ matches }) => matches(path)) as Route
}

const closingError = () =>
  new HttpError(503, 'CLOSING', 'the server is shutting down; retry later', {
    'Retry-After': '2',
  })
