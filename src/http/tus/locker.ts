import { setTimeout as sleep } from 'node:timers/promises'
import type { Locker } from '@tus/server'
import { currentPassage, lockedError } from './request-state.ts'

/** One request's place in the line of an upload: the first in line has its turn. */
type Turn = { stop: AbortController; begun: Promise<void>; begin: () => void }

export type UploadLocks = {
  /** Waits for its turn; whoever is there is stopped. Throws busy, and then is not in the line. */
  join: (id: string, turn: Turn) => Promise<void>
  leave: (id: string, turn: Turn) => void
}

/**
 * One request at a time for each upload, the newest first served: who comes ends those who are there, so that a stalled PATCH
 * never stands in the way of the client that has come back. What a PATCH has received it keeps. A HEAD waits its turn as well: the
 * offset that it tells is the one from which the next PATCH goes on. Among several processes leases do the same.
 */
export function uploadLines({ waitMs = 2000, mostWaiting = 8 } = {}): UploadLocks {
  const lines = new Map<string, Turn[]>()

  async function join(id: string, turn: Turn) {
    const line = lines.get(id) ?? []
    if (line.length > mostWaiting) throw lockedError('too many requests for this upload at once')
    for (const { stop } of line) stop.abort('newer')
    line.push(turn)
    lines.set(id, line)
    if (line[0] === turn) return
    if (await within(waitMs, turn.begun)) return
    leave(id, turn)
    throw lockedError('another request for this upload has not ended yet')
  }

  function leave(id: string, turn: Turn) {
    const rest = (lines.get(id) ?? []).filter((other) => other !== turn)
    if (rest.length === 0) lines.delete(id)
    else lines.set(id, rest)
    rest[0]?.begin()
  }

  return { join, leave }
}

export function createWaiter(stop: AbortController): Turn {
  const { promise: begun, resolve: begin } = Promise.withResolvers<void>()
  return { stop, begun, begin }
}

/** As @tus/server asks for it. */
export const uploadLocker = ({ join, leave } = uploadLines()): Locker => ({
  newLock(id) {
    const passage = currentPassage()
    const turn = createWaiter(passage.stop)
    const unlock = async () => {
      await passage.hold?.release(passage.upload)
      leave(id, turn)
    }
    return { lock: () => join(id, turn), unlock }
  },
})

async function within(ms: number, done: Promise<void>): Promise<boolean> {
  const waiting = new AbortController()
  const late = sleep(ms, false, { signal: waiting.signal }).catch(() => false)
  const inTime = await Promise.race([done.then(() => true), late])
  waiting.abort()
  return inTime
}
