import type { Db } from '../database/database.ts'
import { findRevokedTokens } from '../domains/accounts/reads.ts'
import { createWatchTimer } from './watch-timer.ts'

const INTERVAL_MS = 5_000
/** Tokens checked per statement. */
const BATCH_SIZE = 500

/**
 * Aborts request bodies with `revoked` when their token is revoked. One timer checks all tokens together.
 */
export function createSenderWatch(db: Db) {
  const running = new Map<AbortController, string>()
  // A database error aborts nothing.
  const timer = createWatchTimer(running, INTERVAL_MS, () => void checkAll().catch(() => {}))

  async function checkAll() {
    const ids = [...new Set(running.values())]
    for (let from = 0; from < ids.length; from += BATCH_SIZE) {
      const revoked = await findRevokedTokens(db, ids.slice(from, from + BATCH_SIZE))
      for (const [stop, id] of running) if (revoked.has(id)) stop.abort('revoked')
    }
  }

  return {
    /** Watches the token until the returned object is disposed. */
    follow(stop: AbortController, tokenId: string): Disposable {
      running.set(stop, tokenId)
      timer.start()
      return {
        [Symbol.dispose]() {
          running.delete(stop)
          timer.stopIfIdle()
        },
      }
    },
  }
}
