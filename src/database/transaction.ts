import { channel } from 'node:diagnostics_channel'
import { setTimeout as sleep } from 'node:timers/promises'
import type { Transaction } from 'kysely'
import { type Db, isPostgres } from './database.ts'
import { CommitUnknown, ConnectionLost, isBeforeCommit, isRetryable } from './errors.ts'
import type { Tables } from './tables.ts'
import { withWorkspaceQueue } from './workspace-queue.ts'

export type Tx = Transaction<Tables>

/** Callbacks to run after the commit, and the workspaces that the transaction has locked. */
type TransactionState = { callbacks: (() => unknown)[]; locked: Set<string> }
const states = new WeakMap<Tx, TransactionState>()

const MAX_ATTEMPTS = 10

/**
 * Runs `fn` in one transaction, all or nothing, which is the only writer of the workspaces `workspaceIds`
 * from its first statement to its end: what it reads of them stays true. After a conflict with another
 * transaction, or if the connection broke before COMMIT, `fn` is retried, up to ten attempts in total: it
 * must have no side effects outside `tx`. Callbacks of afterCommit run when the rows are durable. Throws
 * CommitUnknown if the connection breaks during COMMIT.
 */
export async function transact<T>(
  db: Db,
  fn: (tx: Tx) => Promise<T>,
  workspaceIds: Iterable<string> = [],
): Promise<T> {
  // Locks are acquired in a fixed order to avoid deadlocks.
  const ids = [...new Set(workspaceIds)].sort()
  for (let attempt = 1; ; attempt++) {
    const state: TransactionState = { callbacks: [], locked: new Set(ids) }
    const outcome = await withWorkspaceQueue(db, isPostgres(db) ? ids : [], () =>
      attemptOnce(db, fn, state),
    ).catch((error: unknown) => ({ error }))
    if (!('error' in outcome)) {
      await runCallbacks(state.callbacks)
      return outcome.result
    }
    if (!isRetryable(outcome.error) || attempt === MAX_ATTEMPTS) throw outcome.error
    await sleep(Math.random() * 20 * attempt)
  }
}

async function attemptOnce<T>(db: Db, fn: (tx: Tx) => Promise<T>, state: TransactionState) {
  let isCommitting = false
  try {
    const result = await db.transaction().execute(async (tx) => {
      states.set(tx, state)
      for (const id of state.locked) await lockRow(tx, id)
      const result = await fn(tx)
      isCommitting = true
      return result
    })
    return { result }
  } catch (error) {
    // It is unknown whether the transaction was committed: a retry could apply it twice.
    if (isCommitting && error instanceof ConnectionLost && !isBeforeCommit(error))
      throw new CommitUnknown(error)
    throw error
  }
}

/**
 * Throws an error, which is a bug, unless this transaction has locked the workspace. Every function that
 * changes the figures or the log of a workspace calls it.
 */
export function assertLocked(tx: Tx, workspaceId: string): void {
  if (!states.get(tx)?.locked.has(workspaceId))
    throw new Error(`the transaction has not locked ${workspaceId}`)
}

/** Records that this transaction creates the workspace, which no other transaction can see yet. */
export const markNewWorkspaceLocked = (tx: Tx, workspaceId: string): void =>
  void states.get(tx)?.locked.add(workspaceId)

/**
 * Locks workspaces that are known only after the transaction has read or written. If two transactions do so
 * in different orders, PostgreSQL ends one of them, which is then retried. Prefer the locks of `transact`.
 */
export async function lockLate(tx: Tx, workspaceIds: Iterable<string>): Promise<void> {
  const locked = states.get(tx)?.locked
  for (const id of [...new Set(workspaceIds)].sort()) {
    if (!locked || locked.has(id)) continue
    await lockRow(tx, id)
    locked.add(id)
  }
}

/**
 * Locks the user until the end of this transaction, so that what it reads from here on stays true. A
 * transaction that has locked a user must not lock a workspace afterwards: this order avoids deadlocks.
 */
export async function lockUser(tx: Tx, userId: string): Promise<void> {
  if (!isPostgres(tx)) return
  await tx.selectFrom('users').select('id').where('id', '=', userId).forNoKeyUpdate().execute()
}

/**
 * Diagnostics channel with the milliseconds that each transaction waited for the lock of a workspace, also if
 * it failed.
 */
export const lockWaits = channel('holdall:workspace-lock-wait')

/** Locks the row of a workspace on PostgreSQL. SQLite has one writer at a time anyway. */
async function lockRow(tx: Tx, id: string) {
  if (!isPostgres(tx)) return
  const since = performance.now()
  try {
    await tx.selectFrom('workspaces').select('id').where('id', '=', id).forNoKeyUpdate().execute()
  } finally {
    lockWaits.publish(performance.now() - since)
  }
}

/** Runs all callbacks, even if one fails; throws the first failure at the end. */
async function runCallbacks(callbacks: (() => unknown)[]) {
  const failures: unknown[] = []
  for (const callback of callbacks) {
    try {
      await callback()
    } catch (error) {
      failures.push(error)
    }
  }
  if (failures.length > 0) throw failures[0]
}

/** Runs `callback` after `tx` has committed; a rollback discards it. */
export function afterCommit(tx: Tx, callback: () => unknown) {
  states.get(tx)?.callbacks.push(callback)
}
