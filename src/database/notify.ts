import { randomUUID } from 'node:crypto'
import { sql } from 'kysely'
import { type Db, isPostgres } from './database.ts'
import { afterCommit, type Tx } from './transaction.ts'

/*
 * News without a content: it only says that it is time to look at the rows of a topic, so that nothing grows while
 * somebody looks slowly. SQLite has one process; over PostgreSQL the others hear of it by NOTIFY. Who waits for news looks by
 * itself now and then, so that what gets lost on the way is late, and no more.
 */

type Wake = () => void
const ears = new Map<string, Set<Wake>>()

/** PostgreSQL's name for the way on which the processes of one database tell each other of topics. */
export const CHANNEL = 'holdall'
/** Goes before each topic: what is one's own was heard when it was said. */
const self = randomUUID()

const told = new WeakMap<Tx, Set<string>>()

/** Tells all who listen to `topic`, here and in other processes, once `tx` has committed. */
export async function notifyOnCommit(tx: Tx, topic: string): Promise<void> {
  const topics = told.get(tx) ?? new Set()
  if (topics.has(topic)) return
  told.set(tx, topics.add(topic))
  afterCommit(tx, () => wake(topic))
  if (isPostgres(tx)) await notify(tx, topic)
}

/** The same at once, outside of a transaction. */
export async function notifyNow(db: Db, topic: string): Promise<void> {
  wake(topic)
  if (isPostgres(db)) await notify(db, topic)
}

const notify = (db: Db | Tx, topic: string) =>
  sql`select pg_notify(${CHANNEL}, ${`${self} ${topic}`})`.execute(db)

/** What came on the channel. */
export function onNotification(payload: string): void {
  const [from, topic = ''] = payload.split(' ')
  if (from !== self) wake(topic)
}

function wake(topic: string) {
  for (const ear of ears.get(topic) ?? []) ear()
}

/** For when something may have been missed: everybody looks. */
export function wakeAll(): void {
  for (const topic of ears.keys()) wake(topic)
}

/** From now on `act` is called with each announcement of `topic`, until it is disposed. */
export function subscribe(topic: string, act: () => void): Disposable {
  const ear: Wake = () => act()
  const all = ears.get(topic) ?? new Set()
  ears.set(topic, all.add(ear))
  return {
    [Symbol.dispose]() {
      all.delete(ear)
      if (all.size === 0 && ears.get(topic) === all) ears.delete(topic)
    },
  }
}

export type Listening = Disposable & {
  /** Resolves with the next announcement, at once where one came since the last time; else after `ms` or with `signal`. */
  news: (ms: number, signal: AbortSignal) => Promise<void>
}

/** From now on no announcement of `topic` is missed, until it is disposed. */
export function listen(topic: string): Listening {
  let [isNew, wake] = [false, () => {}]
  const ear = subscribe(topic, () => {
    isNew = true
    wake()
  })
  return {
    async news(ms, signal) {
      if (!isNew && !signal.aborted) await until(ms, signal, (awake) => (wake = awake))
      isNew = false
    },
    [Symbol.dispose]: () => ear[Symbol.dispose](),
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
