import type { ServerResponse } from 'node:http'
import { NotFound } from '../errors.ts'

const EVERY_MS = 5_000

/** Asks now and then, while an answer is under way, whether it still may be, and cuts it off once that is NotFound. A fault is no reason to. */
export function cutWhenOver(res: ServerResponse, may: () => Promise<unknown>) {
  const ask = () =>
    may().catch((error) => {
      if (error instanceof NotFound) res.destroy()
    })
  const timer = setInterval(ask, EVERY_MS).unref()
  res.once('close', () => clearInterval(timer))
}
