import { setTimeout as sleep } from 'node:timers/promises'
import type { Locker } from '@tus/server'
import { busy, currentPassage, type Passage } from './upload-passage.ts'

/** One request's place in the line of an upload: the first in line holds the lock. */
type Turn = { passage: Passage; begun: Promise<void>; begin: () => void }

/**
 * One request at a time for each upload, the newest first served: who comes ends those who are there, so that a stalled PATCH
 * never stands in the way of the client that has come back. What a PATCH has received it keeps. A HEAD waits its turn as well: the
 * offset that it tells is the one from which the next PATCH goes on.
 */
export function uploadLocker({ waitMs = 5000, mostWaiting = 8 } = {}): Locker {
  const lines = new Map<string, Turn[]>()

  async function join(id: string, turn: Turn) {
    const line = lines.get(id) ?? []
    if (line.length > mostWaiting) throw busy('too many requests for this upload at once')
    for (const { passage } of line) passage.stop.abort('newer')
    line.push(turn)
    lines.set(id, line)
    if (line[0] === turn) return
    if (await within(waitMs, turn.begun)) return
    leave(id, turn)
    throw busy('another request for this upload has not ended yet')
  }

  function leave(id: string, turn: Turn) {
    const rest = (lines.get(id) ?? []).filter((other) => other !== turn)
    if (rest.length === 0) lines.delete(id)
    else lines.set(id, rest)
    rest[0]?.begin()
  }

  return {
    newLock(id) {
      const { promise: begun, resolve: begin } = Promise.withResolvers<void>()
      const turn = { passage: currentPassage(), begun, begin }
      return { lock: () => join(id, turn), unlock: async () => leave(id, turn) }
    },
  }
}

async function within(ms: number, done: Promise<void>): Promise<boolean> {
  const waiting = new AbortController()
  const late = sleep(ms, false, { signal: waiting.signal }).catch(() => false)
  const inTime = await Promise.race([done.then(() => true), late])
  waiting.abort()
  return inTime
}
