import type { ServerResponse } from 'node:http'
import { NotFound } from '../errors.ts'
import { bytesTaken } from './download/stalled-responses.ts'

const EVERY_MS = 5_000

/** The right to what is being sent: `ask` rejects with NotFound once it has ended. Rights with one `key` are one question. */
export type Right = { key: string; ask: () => Promise<unknown> }

export type RevocationWatch = ReturnType<typeof openRevocationWatch>

/**
 * Cuts off downloads that are under way when the right to them ends. All are looked at together, every five seconds: each right is
 * asked for once, and only where bytes have gone out since the last look, so that a client that reads nothing costs no query.
 */
export function openRevocationWatch() {
  const running = new Map<ServerResponse, { right: Right; taken: number }>()
  let timer: NodeJS.Timeout | undefined

  function look() {
    const moving = [...running.keys()].filter(hasMoved)
    for (const group of Map.groupBy(moving, (res) => running.get(res)?.right.key).values())
      void ask(group)
  }

  function hasMoved(res: ServerResponse): boolean {
    const known = running.get(res)
    const taken = bytesTaken(res)
    if (!known || known.taken === taken) return false
    known.taken = taken
    return true
  }

  /** A fault is no reason to cut anything off. */
  async function ask(group: ServerResponse[]) {
    const [first] = group
    await (first && running.get(first)?.right.ask())?.catch((error: unknown) => {
      if (error instanceof NotFound) for (const res of group) res.destroy()
    })
  }

  return {
    /** Until the response closes. */
    follow(res: ServerResponse, right: Right) {
      running.set(res, { right, taken: 0 })
      timer ??= setInterval(look, EVERY_MS).unref()
      res.once('close', () => {
        running.delete(res)
        if (running.size > 0) return
        clearInterval(timer)
        timer = undefined
      })
    },
  }
}
