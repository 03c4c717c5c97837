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
import { HttpError, sendProblem } from './errors.ts'
import { openAddressLimits } from './limits/address-limits.ts'
import { openAuthFailureLog } from './limits/auth-failures.ts'
import { openRateLimits } from './limits/rate-limits.ts'
import { createMetricsServer, openMetrics } from './ops/metrics.ts'
import { openVisit, requestIdOf } from './request-context.ts'
import { openRoutes, type Route } from './routes.ts'
import { usualPatience } from './tus/receive-body.ts'

export type HttpServer = {
  /** Resolves with the port once it listens; rejects with the error of the operating system. */
  listen: (port: number, host: string) => Promise<number>
  /** The same for the port that serves /metrics alone. */
  listenForMetrics: (port: number, host: string) => Promise<number>
  /**
   * Reports that it is not ready, goes on answering GraphQL for DRAIN_SECONDS while load balancers notice, and then closes the
   * listener. Further calls wait for the first.
   */
  drain: () => Promise<void>
  /** Drains, lets what is in flight finish, and cuts it off `graceMs` after the drain began; the drain takes no longer than that. */
  close: (graceMs?: number) => Promise<void>
}

/** A body may take hours, a request line and its headers may not. 65 s: longer than load balancers keep a connection. */
const timeouts = { requestTimeout: 0, headersTimeout: 30_000, keepAliveTimeout: 65_000 }

/** Time for requests in flight from the beginning of a shutdown, and at least so much of it after the listener has closed. */
const GRACE_MS = 8_000
const AFTER_DRAIN_MS = 3_000

/** Every door of the house behind one port. Over `paceMs` a client has to read what waits for it. */
export function createHttpServer(app: App, { paceMs = usualPatience.paceMs } = {}): HttpServer {
  const metrics = openMetrics(app)
  const routes = openRoutes(app, metrics)
  const tollFor = openRateLimits(app)
  const noteAuthFailure = openAuthFailureLog(app)
  const addresses = openAddressLimits(app.config)
  const inFlight = new Set<ServerResponse>()
  const stalled = endStalledResponses(inFlight, paceMs)
  const { drainMs } = app.config
  let closing = false
  let drained: Promise<void> | undefined

  const server = createServer(timeouts, (req, res) => {
    const requestId = requestIdOf(req)
    void duringRequest(requestId, () => serve(req, res, requestId))
  })

  server.on('connection', addresses.admitConnection)

  const metricsServer = createMetricsServer(metrics, app, noteAuthFailure)

  async function serve(req: IncomingMessage, res: ServerResponse, requestId: string) {
    const route = routeOf(req, routes)
    try {
      follow(req, res, route)
      res.setHeader('X-Request-Id', requestId)
      allowOrigin(app.config.corsOrigins, req, res)
      if (closing && !route.whileClosing) throw tooLate(route)
      if (isPreflight(req) && !route.knowsOptions) return res.writeHead(204).end()
      const visit = openVisit(app, req, { requestId, noteAuthFailure })
      const toll = addresses.limit(tollFor(req, res, visit.scope), req, res)
      return await route.door.handle(req, res, { ...visit, toll })
    } catch (error) {
      const log = (err: unknown) => app.log.error({ err }, 'unexpected')
      return sendProblem(res, error, { requestId, log })
    }
  }

  /** From its first line to its last byte. */
  function follow(req: IncomingMessage, res: ServerResponse, { name: door, takesLong }: Route) {
    const startedAt = performance.now()
    inFlight.add(res)
    if (closing) closeAfter(res)
    if (!takesLong) {
      limitBodyTime(req)
      recordRequest()
    }
    drainRequest(req, res)
    res.once('close', () => {
      inFlight.delete(res)
      const ms = Math.round(performance.now() - startedAt)
      metrics.observe(req, door, res.statusCode, ms / 1000)
      app.log.debug({ door, method: req.method, status: res.statusCode, ms }, 'answered')
    })
  }

  async function drainFor(ms: number) {
    closing = true
    for (const res of inFlight) closeAfter(res)
    const stopped = Promise.all(routes.map(({ door }) => door.drain?.()))
    await sleep(ms)
    for (const { door } of routes) door.refuse?.()
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
      const cut = setTimeout(() => {
        server.close()
        server.closeAllConnections()
      }, graceMs)
      await drain(Math.min(drainMs, graceMs))
      await closed
      clearTimeout(cut)
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

/** The last route takes whatever no other does. */
const routeOf = ({ url = '' }: IncomingMessage, routes: Route[]) => {
  const path = url.split('?', 1)[0] ?? ''
  return routes.find(({ matches }) => matches(path)) as Route
}

const tooLate = ({ closingStatus = 503 }: Route) =>
  new HttpError(closingStatus, 'CLOSING', 'the server is closing; try again', {
    'Retry-After': '2',
  })
