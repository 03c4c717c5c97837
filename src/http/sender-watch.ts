import type { Db } from '../database/database.ts'
import { findRevokedTokens } from '../domains/accounts/reads.ts'

const EVERY_MS = 5_000
/** So many tokens are asked for by one statement. */
const BATCH_SIZE = 500

export type SenderWatch = ReturnType<typeof openSenderWatch>

/**
 * Stops bodies that are under way when their token is revoked: aborts with `revoked`. All tokens are looked at
 * together.
 */
export function openSenderWatch(db: Db) {
  const running = new Map<AbortController, string>()
  let timer: NodeJS.Timeout | undefined

  async function look() {
    const ids = [...new Set(running.values())]
    for (let from = 0; from < ids.length; from += BATCH_SIZE) {
      const revoked = await findRevokedTokens(db, ids.slice(from, from + BATCH_SIZE))
      for (const [stop, id] of running) if (revoked.has(id)) stop.abort('revoked')
    }
  }

  return {
    /** Until what this returns is disposed. */
    follow(stop: AbortController, tokenId: string): Disposable {
      running.set(stop, tokenId)
      // A fault of the database is no reason to stop anything.
      timer ??= setInterval(() => void look().catch(() => {}), EVERY_MS).unref()
      return {
        [Symbol.dispose]() {
          running.delete(stop)
          if (running.size > 0) return
          clearInterval(timer)
          timer = undefined
        },
      }
    },
  }
}
