import { hash, randomUUID, timingSafeEqual } from 'node:crypto'
import { createServer, type IncomingMessage, type Server, type ServerResponse } from 'node:http'
import type { Socket } from 'node:net'
import { setTimeout as sleep } from 'node:timers/promises'
import { Counter, collectDefaultMetrics, Gauge, Histogram, Registry } from 'prom-client'
import type { App } from '../../app.ts'
import type { DiskSpace } from '../../blobs/disk-space.ts'
import type { VolumeState } from '../../blobs/volume.ts'
import type { Config, MetricsConfig } from '../../config.ts'
import { lockWaits } from '../../database/transaction.ts'
import { sweepState } from '../../domains/uploads/store/installation.ts'
import { Unauthenticated } from '../../errors.ts'
import { addressOf } from '../client-address.ts'
import { HttpError, sendProblem } from '../errors.ts'
import type { NoteAuthFailure } from '../limits/auth-failures.ts'
import type { Handler } from '../request-context.ts'

/** Of the process, however many houses it holds. */
const ofProcess = new Registry()
collectDefaultMetrics({ register: ofProcess })
const lockWait = new Histogram({
  name: 'workspace_lock_wait_seconds',
  help: 'How long transactions on PostgreSQL waited for the lock of a workspace, which one holds at a time.',
  buckets: [0.001, 0.005, 0.025, 0.1, 0.5, 1, 3, 5, 10, 30],
  registers: [ofProcess],
})
lockWaits.subscribe((ms) => lockWait.observe(Number(ms) / 1000))

export type Metrics = ReturnType<typeof openMetrics>

/** So long a scrape waits for the database. */
const DATABASE_WAIT_MS = 2_000

/** What the house counts of itself. */
export function openMetrics({ db, log, space }: Pick<App, 'db' | 'log' | 'space'>) {
  const ofHouse = new Registry()
  const registers = [ofHouse]
  const duration = new Histogram({
    name: 'http_request_duration_seconds',
    help: 'From the request line to the last byte of the answer.',
    labelNames: ['door', 'method', 'status'] as const,
    buckets: [0.005, 0.025, 0.1, 0.5, 1, 5, 30, 300, 3600],
    registers,
  })
  const received = new Counter({
    name: 'http_received_bytes_total',
    help: 'Bytes read from clients, headers included.',
    labelNames: ['door'] as const,
    registers,
  })
  const sent = new Counter({
    name: 'http_sent_bytes_total',
    help: 'Bytes written to clients, headers included.',
    labelNames: ['door'] as const,
    registers,
  })
  const sweeper = sweeperGauges(registers)
  const traffic = trafficOf()
  gaugeDisks(ofHouse, space)

  return {
    /** One request, when it is over. */
    observe(req: IncomingMessage, door: string, status: number, seconds: number) {
      duration.observe({ door, method: req.method ?? '', status }, seconds)
      const { read, written } = traffic(req.socket)
      received.inc({ door }, read)
      sent.inc({ door }, written)
    },
    async text() {
      const measured = sweepState(db)
        .then(sweeper.set)
        .catch((err: unknown) => log.warn({ err }, 'the sweeper could not be measured'))
      // Where the database does not answer, the other figures are wanted most.
      await Promise.race([measured, sleep(DATABASE_WAIT_MS, undefined, { ref: false })])
      return Registry.merge([ofProcess, ofHouse]).metrics()
    },
  }
}

/** What the rows say of the sweeper, the same in every process. */
function sweeperGauges(registers: Registry[]) {
  const gauge = (name: string, help: string) => new Gauge({ name, help, registers })
  const paused = gauge('sweep_paused', '1 while nothing is deleted, until fsck --sweep.')
  const refused = gauge('sweep_refused_objects', 'Found by a sweep that was refused; else 0.')
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

/** A volume whose file system does not say how much is free has no figures. */
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
  gauge('disk_reserve_bytes', 'DISK_RESERVE_BYTES of it.', ({ reserveBytes }) => reserveBytes)
  gauge('disk_full', '1 while no bytes are stored.', ({ isFull }) => Number(isFull))
}

/** Answers /metrics as METRICS and METRICS_TOKEN allow. API tokens open nothing here; a wrong one costs as elsewhere. */
export function metricsDoor(metrics: Metrics, { metrics: access }: Config): Handler {
  return {
    async handle(req, res, visit) {
      if (!access.open && access.token === null) throw notServed()
      if (!isAllowed(req, access)) {
        if (req.headers.authorization !== undefined) visit.noteAuthFailure()
        await visit.toll.pay(1)
      }
      await sendMetrics(req, res, { metrics, access })
    },
  }
}

/** The server of METRICS_PORT, which knows GET and HEAD of /metrics alone. */
export function createMetricsServer(
  metrics: Metrics,
  { config: { metrics: access }, log }: Pick<App, 'config' | 'log'>,
  noteAuthFailure: NoteAuthFailure,
): Server {
  const timeouts = { requestTimeout: 30_000, headersTimeout: 30_000 }
  const report = (err: unknown) => log.error({ err }, 'unexpected')
  return createServer(timeouts, async (req, res) => {
    try {
      if (req.url?.split('?', 1)[0] !== '/metrics') throw notServed()
      if (req.method !== 'GET' && req.method !== 'HEAD') throw onlyReads()
      if (req.headers.authorization !== undefined && !isAllowed(req, access))
        noteAuthFailure(addressOf(req, false))
      await sendMetrics(req, res, { metrics, access })
    } catch (error) {
      sendProblem(res, error, { requestId: randomUUID(), log: report })
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

/** Compares hashes, so that neither the length nor the first difference of a wrong token can be measured. */
function isBearer(authorization: string | undefined, token: string): boolean {
  const [, given = ''] = /^Bearer +(\S+)$/i.exec(authorization ?? '') ?? []
  const digest = (text: string) => hash('sha256', text, 'buffer')
  return timingSafeEqual(digest(given), digest(token))
}

const notServed = () => new HttpError(404, 'NOT_FOUND', 'nothing is served here')

const onlyReads = () =>
  new HttpError(405, 'METHOD_NOT_ALLOWED', 'only GET and HEAD here', { Allow: 'GET, HEAD' })

/** What went over a connection since it was last asked about: one connection serves many requests. */
function trafficOf() {
  const seen = new WeakMap<Socket, { read: number; written: number }>()
  return (socket: Socket) => {
    const before = seen.get(socket) ?? { read: 0, written: 0 }
    const total = { read: socket.bytesRead, written: socket.bytesWritten }
    seen.set(socket, total)
    return { read: total.read - before.read, written: total.written - before.written }
  }
}
