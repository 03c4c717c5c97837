import { randomUUID } from 'node:crypto'
import { sql } from 'kysely'
import { type Db, isPostgres } from './database.ts'
import { afterCommit, type Tx } from './transaction.ts'

/*
 * Notifications carry no payload: subscribers re-read the rows of a topic, so that nothing queues up for a
 * slow subscriber. With SQLite there is only one process; on PostgreSQL, NOTIFY reaches the others.
 * Subscribers also poll, so that a lost notification only causes a delay.
 */

type Wake = () => void
const subscribers = new Map<string, Set<Wake>>()

/** Name of the PostgreSQL NOTIFY channel that the processes of one database share. */
export const CHANNEL = 'holdall'
/**
 * Sent before each topic, so that this process can ignore its own notifications, which it delivers locally.
 */
const processId = randomUUID()

const notifiedTopics = new WeakMap<Tx, Set<string>>()

/** Notifies the subscribers of `topic`, in this and other processes, after `tx` has committed. */
export async function notifyOnCommit(tx: Tx, topic: string): Promise<void> {
  const topics = notifiedTopics.get(tx) ?? new Set()
  if (topics.has(topic)) return
  notifiedTopics.set(tx, topics.add(topic))
  afterCommit(tx, () => wake(topic))
  if (isPostgres(tx)) await notify(tx, topic)
}

/** Notifies the subscribers of `topic`, in this and other processes, at once and outside a transaction. */
export async function notifyNow(db: Db, topic: string): Promise<void> {
  wake(topic)
  if (isPostgres(db)) await notify(db, topic)
}

const notify = (db: Db | Tx, topic: string) =>
  sql`select pg_notify(${CHANNEL}, ${`${processId} ${topic}`})`.execute(db)

/** Delivers a notification that PostgreSQL sent; `payload` is the id of the sending process and the topic. */
export function onNotification(payload: string): void {
  const [from, topic = ''] = payload.split(' ')
  if (from !== processId) wake(topic)
}

function wake(topic: string) {
  for (const subscriber of subscribers.get(topic) ?? []) subscriber()
}

/** Notifies all subscribers, because notifications may have been missed. */
export function wakeAll(): void {
  for (const topic of subscribers.keys()) wake(topic)
}

/** Calls `fn` on each notification of `topic` until the result is disposed. */
export function subscribe(topic: string, fn: () => void): Disposable {
  const subscriber: Wake = () => fn()
  const all = subscribers.get(topic) ?? new Set()
  subscribers.set(topic, all.add(subscriber))
  return {
    [Symbol.dispose]() {
      all.delete(subscriber)
      if (all.size === 0 && subscribers.get(topic) === all) subscribers.delete(topic)
    },
  }
}

export type Listening = Disposable & {
  /**
   * Resolves with the next notification, at once if one arrived since the last call; otherwise after `ms`
   * milliseconds or when `signal` aborts.
   */
  news: (ms: number, signal: AbortSignal) => Promise<void>
}

/** Listens to `topic` until it is disposed: no notification after this call is missed. */
export function listen(topic: string): Listening {
  let [isNew, wake] = [false, () => {}]
  const subscriber = subscribe(topic, () => {
    isNew = true
    wake()
  })
  return {
    async news(ms, signal) {
      if (!isNew && !signal.aborted) await until(ms, signal, (awake) => (wake = awake))
      isNew = false
    },
    [Symbol.dispose]: () => subscriber[Symbol.dispose](),
  }
}

function until(ms: number, signal: AbortSignal, offer: (wake: Wake) => unknown): Promise<void> {
  return new Promise((resolve) => {
    const wake = () => {
      clearTimeout(timer)
      signal.removeEventListener('abort', wake)
      resolve()
    }
    const timer = setTimeout(wake, ms)
    signal.addEventListener('abort', wake, { once: true })
    offer(wake)
  })
}
