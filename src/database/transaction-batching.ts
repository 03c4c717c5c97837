import type { Db } from './database.ts'
import { isUnavailable } from './errors.ts'
import { type Tx, transact } from './transaction.ts'

type Work<T> = (tx: Tx) => Promise<T>
type PendingCall = {
  fn: Work<unknown>
  workspaceIds: readonly string[]
  resolve: (result: unknown) => void
  reject: (error: unknown) => void
}

/** Pending calls per key. An empty array means that a batch is running and no call waits. */
const queues = new WeakMap<Db, Map<string, PendingCall[]>>()

/** Limits the duration of a batch, because a process does little else while a transaction runs. */
const MAX_BATCH_SIZE = 16

/**
 * Runs `fn` in a transaction that it may share with other calls of the same key, which saves commits when
 * many short transactions arrive together. It locks the workspaces of all its calls. Calls of one key run in
 * order; those that arrive while a batch runs form the next one. Each call stays all or nothing: if one of a
 * batch fails, each of them runs in its own transaction. Callbacks of afterCommit must not wait for a call of
 * the same key.
 */
export function transactBatched<T>(
  db: Db,
  key: string,
  fn: Work<T>,
  workspaceIds: readonly string[] = [],
): Promise<T> {
  const { promise, resolve, reject } = Promise.withResolvers<T>()
  const call = { fn, workspaceIds, resolve: resolve as PendingCall['resolve'], reject }
  const queue = queuesOf(db).get(key)
  if (queue) queue.push(call)
  else void runQueue(db, key, [call])
  return promise
}

function queuesOf(db: Db) {
  const byKey = queues.get(db) ?? new Map<string, PendingCall[]>()
  queues.set(db, byKey)
  return byKey
}

async function runQueue(db: Db, key: string, queue: PendingCall[]) {
  queuesOf(db).set(key, queue)
  while (queue.length > 0) {
    const batch = queue.splice(0, MAX_BATCH_SIZE)
    await runBatch(db, batch).catch((error) => {
      // The database is unavailable: the waiting calls would only fail one after the other.
      for (const { reject } of [...batch, ...queue.splice(0)]) reject(error)
    })
  }
  queuesOf(db).delete(key)
}

/** Throws only errors that concern all calls (see `rethrowIfUnavailable`). */
async function runBatch(db: Db, batch: PendingCall[]) {
  if (batch.length > 1 && (await runAtomically(db, batch))) return
  for (const { fn, workspaceIds, resolve, reject } of batch) {
    const result = transact(db, fn, workspaceIds)
    await result.then(resolve, (error) => reject(rethrowIfUnavailable(error)))
  }
}

/** Runs all calls in one transaction. Returns false if one of them failed: then nothing was written. */
async function runAtomically(db: Db, batch: PendingCall[]): Promise<boolean> {
  let isComplete = false
  try {
    const runAll = async (tx: Tx) => {
      isComplete = false
      const results: unknown[] = []
      for (const { fn } of batch) results.push(await fn(tx))
      isComplete = true
      return results
    }
    const workspaceIds = batch.flatMap(({ workspaceIds }) => workspaceIds)
    const results = await transact(db, runAll, workspaceIds)
    for (const [i, { resolve }] of batch.entries()) resolve(results[i])
  } catch (error) {
    rethrowIfUnavailable(error)
    if (isComplete) for (const { reject } of batch) reject(error)
  }
  return isComplete
}

function rethrowIfUnavailable(error: unknown) {
  if (isUnavailable(error)) throw error
  return error
}
