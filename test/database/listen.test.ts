import { setTimeout as sleep } from 'node:timers/promises'
import { sql } from 'kysely'
import { Client } from 'pg'
import { describe, expect, onTestFinished, test } from 'vitest'
import { CHANNEL, listen, notifyOnCommit } from '../../src/database/notify.ts'
import { startListener } from '../../src/database/postgres/listener.ts'
import { transact } from '../../src/database/transaction.ts'
import { database, openRows } from '../support/databases.ts'
import { until } from '../support/network/tus.ts'

const never = new AbortController().signal

/** Returns whether a notification of `topic` arrives within `ms`. */
async function isNotified(subscription: ReturnType<typeof listen>, ms = 5000): Promise<boolean> {
  const began = performance.now()
  await subscription.news(ms, never)
  return performance.now() - began < ms - 50
}

describe.skipIf(database === 'SQLite')('notifications of other processes', () => {
  /** Starts a listener, and a second connection as another program. */
  async function openListener() {
    const rows = await openRows(1)
    const [db] = rows.dbs
    if (!db || !rows.url) throw new Error('this is no PostgreSQL')
    const logged: string[] = []
    const note = (_: object, message: string) => void logged.push(message)
    // A waiting subscriber wakes up when listening begins.
    using begun = listen('anything')
    const subscription = startListener({ url: rows.url, db, log: { info: note, warn: note } })
    const other = new Client({ connectionString: rows.url })
    await other.connect()
    onTestFinished(async () => {
      subscription[Symbol.dispose]()
      await other.end()
      await rows[Symbol.asyncDispose]()
    })
    const say = (topic: string) =>
      other.query('select pg_notify($1, $2)', [CHANNEL, `them ${topic}`])
    const listeners = `from pg_stat_activity where application_name = 'holdall, listening' and datname = current_database() and query ilike 'listen%'`
    const isListening = async () => (await other.query(`select 1 ${listeners}`)).rowCount === 1
    expect(await isNotified(begun)).toBe(true)
    const cut = () => other.query(`select pg_terminate_backend(pid) ${listeners}`)
    return { db, other, logged, say, cut, isListening }
  }

  test('reach the subscribers of their topic', async () => {
    const { say } = await openListener()
    using subscription = listen('ws_1')
    using deaf = listen('ws_2')
    await say('ws_1')
    expect(await isNotified(subscription)).toBe(true)
    expect(await isNotified(deaf, 200)).toBe(false)
  })

  test('arrive again after the connection was cut, and waiting subscribers are woken', async () => {
    const { say, cut, isListening, logged } = await openListener()
    using subscription = listen('ws_1')
    await cut()
    expect(await isNotified(subscription)).toBe(true)
    await until(isListening)
    await say('ws_1')
    expect(await isNotified(subscription)).toBe(true)
    await until(async () => logged.length === 2)
    expect(logged[1]).toBe('receiving notifications of other processes again')
  })

  test('are sent on commit, once per topic, or not at all', async () => {
    const { db, other } = await openListener()
    const received: string[] = []
    other.on('notification', ({ payload = '' }) => received.push(payload.split(' ')[1] ?? ''))
    await other.query(`listen ${CHANNEL}`)
    await transact(db, async (tx) => {
      for (const topic of ['ws_1', 'ws_2', 'ws_1']) await notifyOnCommit(tx, topic)
      await sleep(50)
      expect(received.filter(Boolean)).toEqual([])
    })
    const undone = transact(db, async (tx) => {
      await notifyOnCommit(tx, 'ws_3')
      throw new Error('changed my mind')
    })
    await expect(undone).rejects.toThrow('changed my mind')
    await sql`select 1`.execute(db)
    await until(async () => received.filter(Boolean).length >= 2)
    expect(received.filter(Boolean)).toEqual(['ws_1', 'ws_2'])
  })
})
