import { setTimeout as sleep } from 'node:timers/promises'
import type { App } from '../../app.ts'
import { ping } from '../../database/database.ts'
import type { Handler } from '../request-context.ts'

/** Longer no probe waits; the database may take longer, and answer the next one. */
const PATIENCE_MS = 5_000

/** The process is there. */
export const livenessDoor: Handler = {
  handle: (_, res) => res.writeHead(200, plain).end('ok\n'),
}

/**
 * Requests may come: the database answers, and the house is not closing. A disk at its reserve is no reason to send nobody here, since
 * it is read from and tidied as ever: the status stays 200, and the body says so.
 */
export function readinessDoor({ db, log, space }: App): Handler {
  let draining = false
  /** One for all probes that come while it is under way: they must not take the connections of a database that is slow. */
  let asked: Promise<boolean> | null = null
  return {
    async handle(_, res) {
      const ready = !draining && (await inTime(answers()))
      res.writeHead(ready ? 200 : 503, plain).end(ready ? await condition() : 'not ready\n')
    },
    drain() {
      draining = true
    },
  }

  async function condition() {
    const full = (await space.states()).filter(({ isFull }) => isFull).map(({ name }) => name)
    return full.length === 0
      ? 'ok\n'
      : `degraded: no bytes are stored, disk full (${full.join(', ')})\n`
  }

  function answers(): Promise<boolean> {
    asked ??= ask().finally(() => {
      asked = null
    })
    return asked
  }

  async function ask() {
    try {
      await ping(db)
      return true
    } catch (error) {
      log.error({ err: error }, 'the database does not answer')
      return false
    }
  }
}

async function inTime(answered: Promise<boolean>): Promise<boolean> {
  const waiting = new AbortController()
  const late = sleep(PATIENCE_MS, false, { ref: false, signal: waiting.signal })
  try {
    return await Promise.race([answered, late.catch(() => false)])
  } finally {
    waiting.abort()
  }
}

const plain = { 'Content-Type': 'text/plain; charset=utf-8', 'Cache-Control': 'no-store' }
