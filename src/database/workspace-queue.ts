import { createKeyedMutex, type KeyedMutex } from '../concurrency/keyed-mutex.ts'
import type { Db } from './database.ts'
import { NoConnection } from './errors.ts'

/** Maximum time to wait for a turn, as long as for a connection. */
const TIMEOUT_MS = 10_000

const mutexes = new WeakMap<Db, KeyedMutex>()

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
  const mutex = mutexes.get(db) ?? createKeyedMutex()
  mutexes.set(db, mutex)
  const leave = await mutex.acquire(id, TIMEOUT_MS)
  if (leave) return leave
  throw new NoConnection(new Error(`the workspace is locked for more than ${TIMEOUT_MS} ms`))
}
