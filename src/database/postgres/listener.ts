import { randomUUID } from 'node:crypto'
import { setTimeout as sleep } from 'node:timers/promises'
import { sql } from 'kysely'
import { Client } from 'pg'
import type { Db } from '../database.ts'
import { CHANNEL, onNotification, wakeAll } from '../notify.ts'
import { KEEP_ALIVE_MS } from './dialect.ts'

/** LISTEN probe interval, and the maximum time that a probe may take. */
const PROBE_INTERVAL_MS = 15_000
const PROBE_TIMEOUT_MS = 5_000
const MAX_PAUSE_MS = 10_000

type Log = (about: object, message: string) => void
type ListenerOptions = { url: string; db: Db; log: { info: Log; warn: Log } }

/**
 * Delivers the notifications of other processes, over a separate connection to `url`, until it is disposed. A
 * broken connection is always reopened, and then all subscribers are notified, so that nothing is missed.
 * Probes sent over `db` verify that notifications arrive: a PgBouncer in transaction mode accepts LISTEN but
 * delivers nothing.
 */
export function startListener(options: ListenerOptions): Disposable {
  const stopped = new AbortController()
  void keepListening(options, stopped.signal)
  return { [Symbol.dispose]: () => stopped.abort() }
}

async function keepListening(
  { log, ...options }: ListenerOptions,
  stopped: AbortSignal,
): Promise<void> {
  let failures = 0
  const onProbe = () => {
    if (failures > 0) log.info({}, 'receiving notifications of other processes again')
    failures = 0
  }
  while (!stopped.aborted) {
    const err = await listenOnce(options, stopped, onProbe).catch((error: unknown) => error)
    if (stopped.aborted) return
    failures += 1
    if (failures === 1)
      log.warn({ err }, 'notifications of other processes do not arrive; polling instead')
    const pauseMs = Math.min(100 * 2 ** failures, MAX_PAUSE_MS)
    await pause(pauseMs * (0.5 + Math.random() / 2), stopped)
  }
}

/**
 * Listens over one connection until it breaks, a probe does not arrive or `stopped` aborts; always throws.
 */
async function listenOnce(
  { url, db }: Omit<ListenerOptions, 'log'>,
  stopped: AbortSignal,
  onProbe: () => void,
) {
  const client = new Client({
    connectionString: url,
    application_name: 'holdall, listening',
    connectionTimeoutMillis: 10_000,
    keepAlive: true,
    keepAliveInitialDelayMillis: KEEP_ALIVE_MS,
  })
  const gone = new AbortController()
  const end = () => gone.abort(new Error('the connection has ended'))
  client.on('error', (error) => gone.abort(error)).on('end', end)
  stopped.addEventListener('abort', end, { once: true })
  try {
    await client.connect()
    unref(client)
    await receive(db, client, gone.signal, onProbe)
  } finally {
    stopped.removeEventListener('abort', end)
    client.end().catch(() => {})
  }
}

/** Receives notifications, and sends probes at intervals to verify that they arrive. */
async function receive(db: Db, client: Client, gone: AbortSignal, onProbe: () => void) {
  const probe = `${randomUUID()} `
  let receivedAt = 0
  client.on('notification', ({ payload = '' }) => {
    if (payload !== probe) return onNotification(payload)
    receivedAt = performance.now()
    onProbe()
  })
  await client.query(`listen ${CHANNEL}`)
  wakeAll()
  while (!gone.aborted) {
    const sentAt = performance.now()
    const isSent = await sendProbe(db, probe)
    await pause(PROBE_TIMEOUT_MS, gone)
    if (isSent && receivedAt < sentAt)
      throw new Error(`a notification did not arrive within ${PROBE_TIMEOUT_MS} ms`)
    await pause(PROBE_INTERVAL_MS - PROBE_TIMEOUT_MS, gone)
  }
  throw gone.reason
}

/** Returns whether the probe could be sent. */
const sendProbe = (db: Db, probe: string): Promise<boolean> =>
  sql`select pg_notify(${CHANNEL}, ${probe})`.execute(db).then(
    () => true,
    () => false,
  )

const pause = (ms: number, signal: AbortSignal) =>
  sleep(ms, undefined, { signal, ref: false }).catch(() => {})

/** Lets the process exit while the connection is open. @types/pg lacks this method. */
const unref = (client: Client) => (client as Client & { unref: () => void }).unref()
