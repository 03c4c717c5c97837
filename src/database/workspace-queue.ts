import type { Db } from './database.ts'
import { NoConnection } from './errors.ts'

/** So long one waits for its turn, as for a connection. */
const TIMEOUT_MS = 10_000

const lasts = new WeakMap<Db, Map<string, Promise<void>>>()

/**
 * Runs `act` when it is its turn in each of these workspaces. One transaction of this process at a time waits for the lock of a
 * workspace or holds it: the others need no connection meanwhile, and a process that hangs hangs in one. Throws NoConnection.
 */
export async function withWorkspaceQueue<T>(
  db: Db,
  workspaceIds: Iterable<string>,
  act: () => Promise<T>,
): Promise<T> {
  const leave: (() => void)[] = []
  try {
    // In one order for all, so that two never wait for each other.
    for (const id of [...workspaceIds].sort()) leave.push(await enter(db, id))
    return await act()
  } finally {
    for (const each of leave) each()
  }
}

async function enter(db: Db, id: string): Promise<() => void> {
  const known = lasts.get(db) ?? new Map<string, Promise<void>>()
  lasts.set(db, known)
  const before = known.get(id)
  const { promise, resolve } = Promise.withResolvers<void>()
  known.set(id, promise)
  const leave = () => {
    if (known.get(id) === promise) known.delete(id)
    resolve()
  }
  if (before)
    await inTime(before).catch((error) => {
      // Whoever comes after waits for the one before.
      void before.then(leave)
      throw error
    })
  return leave
}

function inTime(before: Promise<void>): Promise<void> {
  return new Promise((resolve, reject) => {
    const late = () => reject(new NoConnection(new Error('the workspace is busy')))
    const timer = setTimeout(late, TIMEOUT_MS)
    void before.then(() => {
      clearTimeout(timer)
      resolve()
    })
  })
}
