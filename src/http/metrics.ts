import type { IncomingMessage } from 'node:http'
import type { Socket } from 'node:net'
import { Counter, collectDefaultMetrics, Histogram, Registry } from 'prom-client'
import type { Config } from '../config.ts'
import { Unauthenticated } from '../errors.ts'
import type { Door, Visit } from './visit.ts'

/** Of the process, however many houses it holds. */
const ofProcess = new Registry()
collectDefaultMetrics({ register: ofProcess })

export type Metrics = ReturnType<typeof openMetrics>

/** What the house counts of itself. */
export function openMetrics() {
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
  const traffic = trafficOf()

  return {
    /** One request, when it is over. */
    observe(req: IncomingMessage, door: string, status: number, seconds: number) {
      duration.observe({ door, method: req.method ?? '', status }, seconds)
      const { read, written } = traffic(req.socket)
      received.inc({ door }, read)
      sent.inc({ door }, written)
    },
    text: () => Registry.merge([ofProcess, ofHouse]).metrics(),
  }
}

/** /metrics: for the machine itself, or for whoever has a token; a proxy on this machine speaks for others. */
export function metricsDoor(metrics: Metrics, { trustProxy }: Config): Door {
  return {
    async handle(req, res, visit) {
      if (trustProxy || !isFromHere(req)) await requireViewer(visit)
      res.writeHead(200, {
        'Content-Type': Registry.PROMETHEUS_CONTENT_TYPE,
        'Cache-Control': 'no-store',
      })
      res.end(await metrics.text())
    },
  }
}

const isFromHere = ({ socket, headers }: IncomingMessage) =>
  /^(?:127\.|::1$|::ffff:127\.)/.test(socket.remoteAddress ?? '') &&
  !headers.forwarded &&
  !headers['x-forwarded-for']

async function requireViewer(visit: Visit) {
  await visit.toll.pay(1)
  const { viewer } = await visit.scope()
  if (!viewer) throw new Unauthenticated()
}

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
