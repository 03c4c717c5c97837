import type { App } from '../../app.ts'
import { withDeadline } from '../../concurrency/deadline.ts'
import { ping } from '../../database/database.ts'
import type { Handler } from '../request-context.ts'

/** Maximum wait of one probe. The query continues, and a later probe may use its result. */
const TIMEOUT_MS = 5_000

/** Answers 200 as long as the process runs. */
export const livenessHandler: Handler = {
  handle: (_, res) => res.writeHead(200, plain).end('ok\n'),
}

/**
 * Creates the readiness handler: 200 if the database responds and the server is not shutting down. A full
 * disk still allows reads and deletions, so the status stays 200 and the body reports it.
 */
export function createReadinessHandler({ db, log, space }: App): Handler {
  let draining = false
  /** The running query. Concurrent probes share it, so that they occupy one connection of a slow database. */
  let pending: Promise<boolean> | null = null
  return {
    async handle(_, res) {
      const ready = !draining && (await withDeadline(isDatabaseUp(), TIMEOUT_MS, false))
      res.writeHead(ready ? 200 : 503, plain).end(ready ? await statusText() : 'not ready\n')
    },
    drain() {
      draining = true
    },
  }

  async function statusText() {
    const full = (await space.states()).filter(({ isFull }) => isFull).map(({ name }) => name)
    return full.length === 0
      ? 'ok\n'
      : `degraded: uploads are rejected, disk full (${full.join(', ')})\n`
  }

  function isDatabaseUp(): Promise<boolean> {
    pending ??= pingDatabase().finally(() => {
      pending = null
    })
    return pending
  }

  async function pingDatabase() {
    try {
      await ping(db)
      return true
    } catch (error) {
      log.error({ err: error }, 'the database does not respond')
      return false
    }
  }
}

const plain = { 'Content-Type': 'text/plain; charset=utf-8', 'Cache-Control': 'no-store' }
