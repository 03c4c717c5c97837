import { sql } from 'kysely'
import type { App } from '../app.ts'
import type { Door } from './visit.ts'

/** The process is there. */
export const livenessDoor: Door = {
  handle: (_, res) => res.writeHead(200, plain).end('ok\n'),
}

/** Requests may come: the database answers, and the house is not closing. */
export function readinessDoor({ db, log }: App): Door {
  let draining = false
  return {
    async handle(_, res) {
      const ready = !draining && (await answers())
      res.writeHead(ready ? 200 : 503, plain).end(ready ? 'ok\n' : 'not ready\n')
    },
    drain() {
      draining = true
    },
  }

  async function answers() {
    try {
      await sql`select 1`.execute(db)
      return true
    } catch (error) {
      log.error({ err: error }, 'the database does not answer')
      return false
    }
  }
}

const plain = { 'Content-Type': 'text/plain; charset=utf-8', 'Cache-Control': 'no-store' }
