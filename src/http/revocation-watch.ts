import type { ServerResponse } from 'node:http'
import { NotFound } from '../errors/access.ts'
import { sentBytesOf } from './download/stalled-responses.ts'
import { createWatchTimer } from './watch-timer.ts'

const INTERVAL_MS = 5_000

/**
 * The right to a download. `check` rejects with NotFound once the right has ended. Downloads with the same
 * `key` share one check.
 */
export type Right = { key: string; check: () => Promise<unknown> }

export type RevocationWatch = ReturnType<typeof createRevocationWatch>

/**
 * Aborts running downloads when the right to them ends. One timer checks all of them: each right once per
 * interval, and only if bytes were sent since the last check, so that a client that reads nothing costs no
 * query.
 */
export function createRevocationWatch() {
  const running = new Map<ServerResponse, { right: Right; sentBytes: number }>()
  const timer = createWatchTimer(running, INTERVAL_MS, checkAll)

  function checkAll() {
    const active = [...running.keys()].filter(hasSent)
    for (const group of Map.groupBy(active, (res) => running.get(res)?.right.key).values())
      void checkGroup(group)
  }

  function hasSent(res: ServerResponse): boolean {
    const watched = running.get(res)
    const sentBytes = sentBytesOf(res)
    if (!watched || watched.sentBytes === sentBytes) return false
    watched.sentBytes = sentBytes
    return true
  }

  /** Errors other than NotFound abort nothing. */
  async function checkGroup(group: ServerResponse[]) {
    const [first] = group
    await (first && running.get(first)?.right.check())?.catch((error: unknown) => {
      if (error instanceof NotFound) for (const res of group) res.destroy()
    })
  }

  return {
    /** Watches the right until the response closes. */
    follow(res: ServerResponse, right: Right) {
      running.set(res, { right, sentBytes: 0 })
      timer.start()
      res.once('close', () => {
        running.delete(res)
        timer.stopIfIdle()
      })
    },
  }
}
