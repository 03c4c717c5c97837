import { channel } from 'node:diagnostics_channel'
import { setTimeout as sleep } from 'node:timers/promises'
import type { Transaction } from 'kysely'
import { type Db, isPostgres } from './database.ts'
import { CommitUnknown, ConnectionLost, isBeforeCommit, isRetryable } from './errors.ts'
import type { Tables } from './tables.ts'
import { withWorkspaceQueue } from './workspace-queue.ts'

export type Tx = Transaction<Tables>

/**
 * Callbacks to run after the commit, and the locked workspaces; null on SQLite, which has one writer anyway.
 */
type TransactionState = { callbacks: (() => unknown)[]; locked: Set<string> | null }
const states = new WeakMap<Tx, TransactionState>()

const MAX_ATTEMPTS = 10

/**
 * Runs `fn` in one transaction, all or nothing. After a conflict with another transaction, or if the
 * connection broke before COMMIT, `fn` is retried, up to ten attempts in total: it must have no side effects
 * outside `tx`. Callbacks of afterCommit run when the rows are durable. Throws CommitUnknown if the
 * connection breaks during COMMIT.
 */
export async function transact<T>(db: Db, fn: (tx: Tx) => Promise<T>): Promise<T> {
  const locked = new Set<string>()
  for (let attempt = 1; ; ) {
    const state: TransactionState = { callbacks: [], locked: isPostgres(db) ? locked : null }
    const outcome = await withWorkspaceQueue(db, state.locked ?? [], () =>
      attemptOnce(db, fn, state),
    ).catch((error: unknown) => ({ error }))
    if (!('error' in outcome)) {
      await runCallbacks(state.callbacks)
      return outcome.result
    }
    if (outcome.error instanceof RestartTransaction) locked.add(outcome.error.workspaceId)
    else if (!isRetryable(outcome.error) || attempt++ === MAX_ATTEMPTS) throw outcome.error
    else await sleep(Math.random() * 20 * attempt)
  }
}

async function attemptOnce<T>(db: Db, fn: (tx: Tx) => Promise<T>, state: TransactionState) {
  let isCommitting = false
  try {
    const result = await db.transaction().execute(async (tx) => {
      states.set(tx, state)
      // Locks are acquired in a fixed order to avoid deadlocks.
      for (const id of [...(state.locked ?? [])].sort()) await lockWorkspaceRow(tx, id)
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
 * Makes this transaction the only writer of the workspace from its first statement to its end, so that what
 * it reads stays true. On PostgreSQL, the first call restarts the transaction, which then locks the workspace
 * before it runs `fn` again. SQLite has one writer at a time.
 */
export function lockWorkspace(tx: Tx, workspaceId: string): void {
  const locked = states.get(tx)?.locked
  if (locked && !locked.has(workspaceId)) throw new RestartTransaction(workspaceId)
}

/** Records that this transaction creates the workspace: it needs no lock on it. */
export const markNewWorkspaceLocked = (tx: Tx, workspaceId: string): void =>
  void states.get(tx)?.locked?.add(workspaceId)

/**
 * Locks the user until the end of this transaction, so that what it reads from here on stays true. A
 * transaction that has locked a user must not lock a workspace afterwards: this order avoids deadlocks.
 */
export async function lockUser(tx: Tx, userId: string): Promise<void> {
  if (!states.get(tx)?.locked) return
  await tx.selectFrom('users').select('id').where('id', '=', userId).forNoKeyUpdate().execute()
}

class RestartTransaction extends Error {
  readonly workspaceId: string
  constructor(workspaceId: string) {
    super(`the transaction restarts to lock ${workspaceId} first`)
    this.workspaceId = workspaceId
  }
}

/**
 * Diagnostics channel with the milliseconds that each transaction waited for the lock of a workspace, also if
 * it failed.
 */
export const lockWaits = channel('holdall:workspace-lock-wait')

async function lockWorkspaceRow(tx: Tx, id: string) {
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
