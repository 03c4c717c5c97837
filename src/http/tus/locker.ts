import type { Locker } from '@tus/server'
import { withDeadline } from '../../concurrency/deadline.ts'
import { lockedError, type TusRequestState } from './request-state.ts'

/** A request that waits for the lock of an upload or holds it. */
type Waiter = { stop: AbortController; acquired: Promise<void>; notifyAcquired: () => void }

export type UploadLocks = {
  /** Aborts the holder and all other waiters, and waits for the lock. Throws 423 after a timeout. */
  acquire: (id: string, waiter: Waiter) => Promise<void>
  release: (id: string, waiter: Waiter) => void
}

/**
 * Creates the locks of uploads in this process: one request at a time for each upload. A new request aborts
 * the earlier ones, so that a stalled PATCH never blocks a client that resumes. The bytes that a PATCH has
 * received are kept. HEAD acquires the lock, too, so that it reports the offset from which the next PATCH
 * continues. Write leases do the same across processes.
 */
export function createUploadLocks({ waitMs = 2000, maxWaiting = 8 } = {}): UploadLocks {
  const queues = new Map<string, Waiter[]>()

  async function acquire(id: string, waiter: Waiter) {
    const queue = queues.get(id) ?? []
    if (queue.length > maxWaiting)
      throw lockedError(`too many concurrent requests for this upload (limit ${maxWaiting + 1})`)
    for (const { stop } of queue) stop.abort('newer')
    queue.push(waiter)
    queues.set(id, queue)
    if (queue[0] === waiter) return
    if (
      await withDeadline(
        waiter.acquired.then(() => true),
        waitMs,
        false,
      )
    )
      return
    release(id, waiter)
    throw lockedError('another request for this upload is still running')
  }

  function release(id: string, waiter: Waiter) {
    const rest = (queues.get(id) ?? []).filter((other) => other !== waiter)
    if (rest.length === 0) queues.delete(id)
    else queues.set(id, rest)
    rest[0]?.notifyAcquired()
  }

  return { acquire, release }
}

/** Creates a waiter. `stop` is aborted with `newer` when another request for the upload arrives. */
export function createWaiter(stop: AbortController): Waiter {
  const { promise: acquired, resolve: notifyAcquired } = Promise.withResolvers<void>()
  return { stop, acquired, notifyAcquired }
}

/** Adapts the locks to the interface of @tus/server for one request. */
export const createUploadLocker = (
  { acquire, release }: UploadLocks,
  state: TusRequestState,
): Locker => ({
  newLock(id) {
    const waiter = createWaiter(state.stop)
    const unlock = async () => {
      await state.lease?.release(state.upload)
      release(id, waiter)
    }
    return { lock: () => acquire(id, waiter), unlock }
  },
})
