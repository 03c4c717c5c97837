import { setTimeout as sleep } from 'node:timers/promises'
import type { PostgresPool, PostgresPoolClient } from 'kysely'
import type { Pool, PoolClient, QueryResult } from 'pg'
import { InvalidInput } from '../../errors/input.ts'
import { ConnectionLost, isLost, isNameUnknown, isReplaceable, NoConnection } from '../errors.ts'
import type { Watch } from './answer-watch.ts'
import { nameOfStatement } from './statement-names.ts'

/** Maximum time to wait for a server that accepts no connections, as during a restart. */
const RECONNECT_TIMEOUT_MS = 3_000
const PAUSE_MS = 50

/**
 * Wraps a pool for Kysely, with recovery from lost connections. A broken connection is not used again. The
 * first statement on a connection taken from the pool is repeated on another one if it only reads or begins a
 * transaction. Throws NoConnection and ConnectionLost.
 */
export function withReconnect(pool: Pool, protocol: Protocol, watch: Watch): PostgresPool {
  // Without a listener, an idle connection that breaks would end the process. The pool replaces it on demand.
  pool.on('error', () => {})
  pool.on('connect', (client) => {
    client.on('error', () => {})
    watch.opened(client)
  })
  return {
    options: pool.options,
    // Kysely needs a cursor only to stream results, which the application never does.
    connect: async () =>
      new PooledConnection(
        { pool, protocol, watch },
        await connect(pool, watch),
      ) as unknown as PostgresPoolClient,
    end: () => {
      watch.stop()
      return pool.end()
    },
  }
}

/**
 * Whether named prepared statements are used (turned off when a pooler that switches server connections is
 * detected), and the SQL that begins a transaction.
 */
type Protocol = { isPrepared: boolean; begin: string }
type PoolContext = { pool: Pool; protocol: Protocol; watch: Watch }

/** A connection between acquire and release. */
class PooledConnection {
  readonly #context: PoolContext
  /** Null after release, or if the connection broke and could not be replaced. */
  #client: PoolClient | null
  #isFirst = true
  /** The error that broke the connection. */
  #fault: ConnectionLost | null = null

  constructor(context: PoolContext, client: PoolClient) {
    this.#context = context
    this.#client = client
  }

  async query(text: string, values: readonly unknown[]): Promise<QueryResult> {
    const mayRepeat = this.#isFirst && REPEATABLE.test(text)
    this.#isFirst = false
    // Counted from the first error, which alone may take longer than the timeout.
    let endsAt: number | undefined
    while (true) {
      const client = this.#client
      if (!client || this.#fault) throw this.#fault
      try {
        return await this.#context.watch.run(client, () =>
          client.query(this.#toQuery(text, values)),
        )
      } catch (error) {
        if (!isLost(error)) throw toNulError(error)
        if (isNameUnknown(error)) this.#context.protocol.isPrepared = false
        endsAt ??= performance.now() + RECONNECT_TIMEOUT_MS
        this.#fault = new ConnectionLost(error)
        if (!mayRepeat || !isReplaceable(error) || performance.now() > endsAt) throw this.#fault
      }
      await this.#replace()
    }
  }

  #toQuery(text: string, values: readonly unknown[]) {
    const { isPrepared, begin } = this.#context.protocol
    if (text === 'begin') return { text: begin }
    const name = isPrepared ? nameOfStatement(text) : undefined
    return { text, values: [...values], ...(name && { name }) }
  }

  release(destroy = false) {
    this.#client?.release(destroy || this.#fault !== null)
    this.#client = null
  }

  /** Releases the broken connection first: the pool may be limited to one. */
  async #replace() {
    this.release()
    await sleep(PAUSE_MS * Math.random())
    this.#client = await connect(this.#context.pool, this.#context.watch)
    this.#fault = null
  }
}

/**
 * Translates the error for U+0000 in a text (SQLSTATE 22021), which PostgreSQL does not support, wherever a
 * client sends it. Returns other errors unchanged.
 */
const toNulError = (error: unknown) =>
  (error as { code?: unknown }).code === '22021'
    ? new InvalidInput({ path: [], message: 'text must not contain the character U+0000' })
    : error

const REPEATABLE = /^\s*(select|begin)\b/i

/**
 * Takes a connection from the pool. Retrying is safe, because no statement has been sent yet. Throws
 * NoConnection.
 */
async function connect(pool: Pool, watch: Watch): Promise<PoolClient> {
  const endsAt = performance.now() + RECONNECT_TIMEOUT_MS
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
