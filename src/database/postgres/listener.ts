import { randomUUID } from 'node:crypto'
import { setTimeout as sleep } from 'node:timers/promises'
import { sql } from 'kysely'
import { Client } from 'pg'
import type { Db } from '../database.ts'
import { CHANNEL, onNotification, wakeAll } from '../notify.ts'
import { KEEP_ALIVE_MS } from './dialect.ts'

/** So often it is tried whether the ear still hears, and so long a sound may be on its way. */
const TRY_MS = 15_000
const LATE_MS = 5_000
const LONGEST_PAUSE_MS = 10_000

type Log = (about: object, message: string) => void
type Hearing = { url: string; db: Db; log: { info: Log; warn: Log } }

/**
 * Hears what other processes announce, over a connection of its own at `url`, until it is disposed. One that breaks is made anew,
 * for ever; then everybody looks, so that nothing said meanwhile is missed. By `db` it speaks to itself, to know whether it
 * hears: a PgBouncer in transaction mode takes LISTEN, and passes nothing on.
 */
export function startListener(hearing: Hearing): Disposable {
  const over = new AbortController()
  void listenForEver(hearing, over.signal)
  return { [Symbol.dispose]: () => over.abort() }
}

async function listenForEver({ log, ...hearing }: Hearing, over: AbortSignal): Promise<void> {
  let failures = 0
  const hears = () => {
    if (failures > 0) log.info({}, 'other processes are heard again')
    failures = 0
  }
  while (!over.aborted) {
    const err = await listenOnce(hearing, over, hears).catch((error: unknown) => error)
    if (over.aborted) return
    failures += 1
    if (failures === 1) log.warn({ err }, 'other processes are not heard; it is looked instead')
    const pauseMs = Math.min(100 * 2 ** failures, LONGEST_PAUSE_MS)
    await pause(pauseMs * (0.5 + Math.random() / 2), over)
  }
}

/** Throws when it hears no more, or not at all; returns when it is over. */
async function listenOnce({ url, db }: Omit<Hearing, 'log'>, over: AbortSignal, hears: () => void) {
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
  over.addEventListener('abort', end, { once: true })
  try {
    await client.connect()
    unref(client)
    await hearOneself(db, client, gone.signal, hears)
  } finally {
    over.removeEventListener('abort', end)
    client.end().catch(() => {})
  }
}

/** Listens, and tries from time to time whether it does. */
async function hearOneself(db: Db, client: Client, gone: AbortSignal, hears: () => void) {
  const sound = `${randomUUID()} `
  let heardAt = 0
  client.on('notification', ({ payload = '' }) => {
    if (payload !== sound) return onNotification(payload)
    heardAt = performance.now()
    hears()
  })
  await client.query(`listen ${CHANNEL}`)
  wakeAll()
  while (!gone.aborted) {
    const saidAt = performance.now()
    const said = await say(db, sound)
    await pause(LATE_MS, gone)
    if (said && heardAt < saidAt) throw new Error('what is said is not heard')
    await pause(TRY_MS - LATE_MS, gone)
  }
  throw gone.reason
}

/** Whether it could be said at all. */
const say = (db: Db, sound: string): Promise<boolean> =>
  sql`select pg_notify(${CHANNEL}, ${sound})`.execute(db).then(
    () => true,
    () => false,
  )

const pause = (ms: number, signal: AbortSignal) =>
  sleep(ms, undefined, { signal, ref: false }).catch(() => {})

/** It keeps no process alive. @types/pg does not know that it can be asked to. */
const unref = (client: Client) => (client as Client & { unref: () => void }).unref()
