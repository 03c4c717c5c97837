import { hash, randomUUID, timingSafeEqual } from 'node:crypto'
import { createServer, type IncomingMessage, type Server, type ServerResponse } from 'node:http'
import type { Socket } from 'node:net'
import { Counter, collectDefaultMetrics, Gauge, Histogram, Registry } from 'prom-client'
import type { App } from '../../app.ts'
import type { DiskSpace } from '../../blobs/disk-space.ts'
import type { VolumeState } from '../../blobs/volume.ts'
import { withDeadline } from '../../concurrency/deadline.ts'
import type { Config, MetricsConfig } from '../../config/config.ts'
import { lockWaits } from '../../database/transaction.ts'
import { sweepState } from '../../domains/uploads/store/installation.ts'
import { Unauthenticated } from '../../errors/access.ts'
import { addressOf } from '../client-address.ts'
import { HttpError, methodNotAllowed, sendError } from '../errors.ts'
import type { RecordAuthFailure } from '../limits/auth-failures.ts'
import type { Handler } from '../request-context.ts'

/** Metrics of the process, shared by all servers in it. */
const processRegistry = new Registry()
collectDefaultMetrics({ register: processRegistry })
const lockWait = new Histogram({
  name: 'workspace_lock_wait_seconds',
  help: 'Time that transactions on PostgreSQL waited for the lock of a workspace.',
  buckets: [0.001, 0.005, 0.025, 0.1, 0.5, 1, 3, 5, 10, 30],
  registers: [processRegistry],
})
lockWaits.subscribe((ms) => lockWait.observe(Number(ms) / 1000))

export type Metrics = ReturnType<typeof createMetrics>

/** Maximum wait of a scrape for the database. */
const DATABASE_WAIT_MS = 2_000

/** Creates the metrics of one server. */
export function createMetrics({ db, log, space }: Pick<App, 'db' | 'log' | 'space'>) {
  const serverRegistry = new Registry()
  const registers = [serverRegistry]
  const duration = new Histogram({
    name: 'http_request_duration_seconds',
    help: 'Time from the request line to the last byte of the response.',
    labelNames: ['route', 'method', 'status'] as const,
    buckets: [0.005, 0.025, 0.1, 0.5, 1, 5, 30, 300, 3600],
    registers,
  })
  const received = new Counter({
    name: 'http_received_bytes_total',
    help: 'Bytes read from clients, headers included.',
    labelNames: ['route'] as const,
    registers,
  })
  const sent = new Counter({
    name: 'http_sent_bytes_total',
    help: 'Bytes written to clients, headers included.',
    labelNames: ['route'] as const,
    registers,
  })
  const sweeper = sweeperGauges(registers)
  const traffic = createTrafficMeter()
  gaugeDisks(serverRegistry, space)

  return {
    /** Records a request when its response has closed. `seconds` is its duration. */
    observe(req: IncomingMessage, route: string, status: number, seconds: number) {
      duration.observe({ route, method: req.method ?? '', status }, seconds)
      const { read, written } = traffic(req.socket)
      received.inc({ route }, read)
      sent.inc({ route }, written)
    },
    /** Returns all metrics in the text format of Prometheus. */
    async text() {
      const swept = sweepState(db)
        .then(sweeper.set)
        .catch((err: unknown) => log.warn({ err }, 'reading the state of the sweeper failed'))
      // The other metrics matter most when the database does not respond.
      await withDeadline(swept, DATABASE_WAIT_MS, undefined)
      return Registry.merge([processRegistry, serverRegistry]).metrics()
    },
  }
}

/** Creates the gauges of the sweeper. Their values are in the database, so all processes report the same. */
function sweeperGauges(registers: Registry[]) {
  const gauge = (name: string, help: string) => new Gauge({ name, help, registers })
  const paused = gauge(
    'sweep_paused',
    '1 while the sweeper is paused and deletes nothing, until fsck --sweep.',
  )
  const refused = gauge('sweep_refused_objects', 'Objects found by a refused sweep, or 0.')
  const objects = gauge('quarantine_objects', 'Objects in quarantine.')
  const bytes = gauge('quarantine_bytes', 'Bytes of the objects in quarantine.')
  return {
    set(state: Awaited<ReturnType<typeof sweepState>>) {
      paused.set(state.isPaused ? 1 : 0)
      refused.set(state.refusedObjects)
      objects.set(state.objects)
      bytes.set(state.bytes)
    },
  }
}

/** Creates the gauges of the volumes whose file system reports its free space. */
function gaugeDisks(register: Registry, space: DiskSpace) {
  const gauge = (name: string, help: string, figure: (state: VolumeState) => number) =>
    new Gauge({
      name,
      help,
      labelNames: ['volume'] as const,
      registers: [register],
      async collect() {
        const known = (await space.states()).filter(({ freeBytes }) => freeBytes !== Infinity)
        for (const state of known) this.set({ volume: state.name }, figure(state))
      },
    })
  gauge('disk_free_bytes', 'Free bytes of the file system.', ({ freeBytes }) => freeBytes)
  gauge(
    'disk_reserve_bytes',
    'Reserve of the file system (DISK_RESERVE_BYTES).',
    ({ reserveBytes }) => reserveBytes,
  )
  gauge('disk_full', '1 while uploads are rejected because the disk is full.', ({ isFull }) =>
    Number(isFull),
  )
}

/** Creates the handler of /metrics (METRICS, METRICS_TOKEN), which accepts no API tokens. */
export function createMetricsHandler(metrics: Metrics, { metrics: access }: Config): Handler {
  return {
    async handle(req, res, context) {
      if (!access.open && access.token === null) throw notFound()
      if (!isAllowed(req, access)) {
        if (req.headers.authorization !== undefined) context.recordAuthFailure()
        await context.charge.consume(1)
      }
      await sendMetrics(req, res, { metrics, access })
    },
  }
}

/** Creates the server of METRICS_PORT, which serves only GET and HEAD of /metrics. */
export function createMetricsServer(
  metrics: Metrics,
  { config: { metrics: access }, log }: Pick<App, 'config' | 'log'>,
  recordAuthFailure: RecordAuthFailure,
): Server {
  const timeouts = { requestTimeout: 30_000, headersTimeout: 30_000 }
  const report = (err: unknown) => log.error({ err }, 'unexpected')
  return createServer(timeouts, async (req, res) => {
    try {
      if (req.url?.split('?', 1)[0] !== '/metrics') throw notFound()
      if (req.method !== 'GET' && req.method !== 'HEAD') throw methodNotAllowed(['GET', 'HEAD'])
      if (req.headers.authorization !== undefined && !isAllowed(req, access))
        recordAuthFailure(addressOf(req, false))
      await sendMetrics(req, res, { metrics, access })
    } catch (error) {
      sendError(res, error, { requestId: randomUUID(), log: report })
    }
  })
}

async function sendMetrics(
  req: IncomingMessage,
  res: ServerResponse,
  { metrics, access }: { metrics: Metrics; access: MetricsConfig },
) {
  if (!isAllowed(req, access)) throw new Unauthenticated()
  res.writeHead(200, {
    'Content-Type': Registry.PROMETHEUS_CONTENT_TYPE,
    'Cache-Control': 'no-store',
  })
  res.end(await metrics.text())
}

const isAllowed = ({ headers }: IncomingMessage, { open, token }: MetricsConfig) =>
  open || token === null || isBearer(headers.authorization, token)

/** Compares hashes in constant time, so that timing reveals neither the length nor a prefix of the token. */
function isBearer(authorization: string | undefined, token: string): boolean {
  const [, given = ''] = /^Bearer +(\S+)$/i.exec(authorization ?? '') ?? []
  const digest = (text: string) => hash('sha256', text, 'buffer')
  return timingSafeEqual(digest(given), digest(token))
}

const notFound = () => new HttpError(404, 'NOT_FOUND', 'no such route')

/** Creates a function that returns the bytes of a connection since the previous call for it. */
function createTrafficMeter() {
  const lastOf = new WeakMap<Socket, { read: number; written: number }>()
  return (socket: Socket) => {
    const last = lastOf.get(socket) ?? { read: 0, written: 0 }
    const total = { read: socket.bytesRead, written: socket.bytesWritten }
    lastOf.set(socket, total)
    return { read: total.read - last.read, written: total.written - last.written }
  }
}
