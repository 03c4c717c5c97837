import type { Db } from './database.ts'
import { NoConnection } from './errors.ts'

/** Maximum time to wait for a turn, as long as for a connection. */
const TIMEOUT_MS = 10_000

/** The end of the last transaction in each queue. */
const tails = new WeakMap<Db, Map<string, Promise<void>>>()

/**
 * Runs `fn` when it is its turn in each of these workspaces. Only one transaction of this process at a time
 * waits for the lock of a workspace or holds it: the others use no connection, and a process that hangs
 * blocks the workspace with one transaction only. Throws NoConnection after ten seconds.
 */
export async function withWorkspaceQueue<T>(
  db: Db,
  workspaceIds: Iterable<string>,
  fn: () => Promise<T>,
): Promise<T> {
  const leave: (() => void)[] = []
  try {
    // Queues are entered in a fixed order to avoid deadlocks.
    for (const id of [...workspaceIds].sort()) leave.push(await enter(db, id))
    return await fn()
  } finally {
    for (const leaveQueue of leave) leaveQueue()
  }
}

async function enter(db: Db, id: string): Promise<() => void> {
  const byId = tails.get(db) ?? new Map<string, Promise<void>>()
  tails.set(db, byId)
  const before = byId.get(id)
  const { promise, resolve } = Promise.withResolvers<void>()
  byId.set(id, promise)
  const leave = () => {
    if (byId.get(id) === promise) byId.delete(id)
    resolve()
  }
  if (before)
    await withTimeout(before).catch((error) => {
      // The next call in the queue then waits for the previous one, in place of this one.
      void before.then(leave)
      throw error
    })
  return leave
}

function withTimeout(before: Promise<void>): Promise<void> {
  return new Promise((resolve, reject) => {
    const expire = () =>
      reject(new NoConnection(new Error(`the workspace is locked for more than ${TIMEOUT_MS} ms`)))
    const timer = setTimeout(expire, TIMEOUT_MS)
    void before.then(() => {
      clearTimeout(timer)
      resolve()
    })
  })
}
