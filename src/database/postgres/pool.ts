import { setTimeout as sleep } from 'node:timers/promises'
import type { PostgresPool, PostgresPoolClient } from 'kysely'
import type { Pool, PoolClient, QueryResult } from 'pg'
import { InvalidInput } from '../../errors.ts'
import { ConnectionLost, isLost, isNameUnknown, isReplaceable, NoConnection } from '../errors.ts'
import type { Watch } from './answer-watch.ts'
import { nameOfStatement } from './statement-names.ts'

/** So long a request waits for a server that takes no connections, as while it starts again. */
const PATIENCE_MS = 3_000
const PAUSE_MS = 50

/**
 * The same pool for whoever cannot mend a connection. One that breaks is not used again, and what was lost without any doubt is asked
 * once more over another: the first statement of a visit, where that only reads or begins a transaction. Throws NoConnection, ConnectionLost.
 */
export function withReconnect(pool: Pool, ways: Ways, watch: Watch): PostgresPool {
  // Each is replaced when the next one is wanted. Without a listener what breaks in the hands of nobody would end the process.
  pool.on('error', () => {})
  pool.on('connect', (client) => {
    client.on('error', () => {})
    watch.opened(client)
  })
  return {
    options: pool.options,
    // Cursors are for streams of rows, of which there are none.
    connect: async () =>
      new PooledConnection(
        { pool, ways, watch },
        await connect(pool, watch),
      ) as unknown as PostgresPoolClient,
    end: () => {
      watch.stop()
      return pool.end()
    },
  }
}

/**
 * How the server is spoken to: whether a connection keeps the statements that have a name (not where it turns out to be many
 * behind a pooler), and what begins a transaction.
 */
type Ways = { kept: boolean; begin: string }
type Means = { pool: Pool; ways: Ways; watch: Watch }

/** A connection from when it is taken to when it is given back. */
class PooledConnection {
  readonly #means: Means
  /** Null where it broke and no other could be had. */
  #client: PoolClient | null
  #isFirst = true
  /** What broke it. */
  #fault: ConnectionLost | null = null

  constructor(means: Means, client: PoolClient) {
    this.#means = means
    this.#client = client
  }

  async query(text: string, values: readonly unknown[]): Promise<QueryResult> {
    const mayRepeat = this.#isFirst && repeatable.test(text)
    this.#isFirst = false
    // From the first fault on: that alone may have taken longer than there is patience for.
    let endsAt: number | undefined
    while (true) {
      const client = this.#client
      if (!client || this.#fault) throw this.#fault
      try {
        return await this.#means.watch.during(client, () => client.query(this.#words(text, values)))
      } catch (error) {
        if (!isLost(error)) throw withoutNul(error)
        if (isNameUnknown(error)) this.#means.ways.kept = false
        endsAt ??= performance.now() + PATIENCE_MS
        this.#fault = new ConnectionLost(error)
        if (!mayRepeat || !isReplaceable(error) || performance.now() > endsAt) throw this.#fault
      }
      await this.#replace()
    }
  }

  #words(text: string, values: readonly unknown[]) {
    const { kept, begin } = this.#means.ways
    if (text === 'begin') return { text: begin }
    const name = kept ? nameOfStatement(text) : undefined
    return { text, values: [...values], ...(name && { name }) }
  }

  release(destroy = false) {
    this.#client?.release(destroy || this.#fault !== null)
    this.#client = null
  }

  /** Given back first: the pool may have one connection only. */
  async #replace() {
    this.release()
    await sleep(PAUSE_MS * Math.random())
    this.#client = await connect(this.#means.pool, this.#means.watch)
    this.#fault = null
  }
}

/** PostgreSQL's text takes every character but one (22021: not in the repertoire), wherever somebody may write it. */
const withoutNul = (error: unknown) =>
  (error as { code?: unknown }).code === '22021'
    ? new InvalidInput({ path: [], message: 'no text has the character U+0000' })
    : error

const repeatable = /^\s*(select|begin)\b/i

/** Nothing was asked yet, so it may be tried again. */
async function connect(pool: Pool, watch: Watch): Promise<PoolClient> {
  const endsAt = performance.now() + PATIENCE_MS
  while (true) {
    try {
      const client = await pool.connect()
      if (!watch.isSuspect(client)) return client
      client.release(true)
      continue
    } catch (error) {
      if (!isLost(error)) throw error
      if (!isReplaceable(error) || performance.now() > endsAt) throw new NoConnection(error)
    }
    await sleep(PAUSE_MS * (1 + Math.random()))
  }
}
