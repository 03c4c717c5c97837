import { setTimeout as sleep } from 'node:timers/promises'
import { sql } from 'kysely'
import { Client } from 'pg'
import { describe, expect, onTestFinished, test } from 'vitest'
import { CHANNEL, listen, notifyOnCommit } from '../../src/database/notify.ts'
import { startListener } from '../../src/database/postgres/listener.ts'
import { transact } from '../../src/database/transaction.ts'
import { database, openRows } from '../support/databases.ts'
import { until } from '../support/tus.ts'

const never = new AbortController().signal

/** Whether news of `topic` come within `ms`. */
async function hears(ear: ReturnType<typeof listen>, ms = 5000): Promise<boolean> {
  const began = performance.now()
  await ear.news(ms, never)
  return performance.now() - began < ms - 50
}

describe.skipIf(database === 'SQLite')('what other processes say', () => {
  /** A database that is listened to, and another program that has it open as well. */
  async function openEar() {
    const rows = await openRows(1)
    const [db] = rows.dbs
    if (!db || !rows.url) throw new Error('this is no PostgreSQL')
    const logged: string[] = []
    const note = (_: object, message: string) => void logged.push(message)
    // Who waits is woken when it begins to be listened.
    using begun = listen('anything')
    const ear = startListener({ url: rows.url, db, log: { info: note, warn: note } })
    const other = new Client({ connectionString: rows.url })
    await other.connect()
    onTestFinished(async () => {
      ear[Symbol.dispose]()
      await other.end()
      await rows[Symbol.asyncDispose]()
    })
    const say = (topic: string) =>
      other.query('select pg_notify($1, $2)', [CHANNEL, `them ${topic}`])
    const listeners = `from pg_stat_activity where application_name = 'holdall, listening' and datname = current_database() and query ilike 'listen%'`
    const isListening = async () => (await other.query(`select 1 ${listeners}`)).rowCount === 1
    expect(await hears(begun)).toBe(true)
    const cut = () => other.query(`select pg_terminate_backend(pid) ${listeners}`)
    return { db, other, logged, say, cut, isListening }
  }

  test('is heard, by those whom it concerns', async () => {
    const { say } = await openEar()
    using ear = listen('ws_1')
    using deaf = listen('ws_2')
    await say('ws_1')
    expect(await hears(ear)).toBe(true)
    expect(await hears(deaf, 200)).toBe(false)
  })

  test('is heard again after the connection was cut, and who waits then looks by itself', async () => {
    const { say, cut, isListening, logged } = await openEar()
    using ear = listen('ws_1')
    await cut()
    expect(await hears(ear)).toBe(true)
    await until(isListening)
    await say('ws_1')
    expect(await hears(ear)).toBe(true)
    await until(async () => logged.length === 2)
    expect(logged[1]).toBe('other processes are heard again')
  })

  test('goes out with the transaction, once for each topic, or not at all', async () => {
    const { db, other } = await openEar()
    const heard: string[] = []
    other.on('notification', ({ payload = '' }) => heard.push(payload.split(' ')[1] ?? ''))
    await other.query(`listen ${CHANNEL}`)
    await transact(db, async (tx) => {
      for (const topic of ['ws_1', 'ws_2', 'ws_1']) await notifyOnCommit(tx, topic)
      await sleep(50)
      expect(heard.filter(Boolean)).toEqual([])
    })
    const undone = transact(db, async (tx) => {
      await notifyOnCommit(tx, 'ws_3')
      throw new Error('changed my mind')
    })
    await expect(undone).rejects.toThrow('changed my mind')
    await sql`select 1`.execute(db)
    await until(async () => heard.filter(Boolean).length >= 2)
    expect(heard.filter(Boolean)).toEqual(['ws_1', 'ws_2'])
  })
})
