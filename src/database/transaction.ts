import { channel } from 'node:diagnostics_channel'
import { setTimeout as sleep } from 'node:timers/promises'
import type { Transaction } from 'kysely'
import { type Db, isPostgres } from './database.ts'
import { CommitUnknown, ConnectionLost, isBeforeCommit, isRetryable } from './errors.ts'
import type { Tables } from './tables.ts'
import { withWorkspaceQueue } from './workspace-queue.ts'

export type Tx = Transaction<Tables>

/** What a transaction has promised for later, and the workspaces that it has for itself; null where it is alone anyway. */
type TransactionState = { later: (() => unknown)[]; held: Set<string> | null }
const courses = new WeakMap<Tx, TransactionState>()

const ATTEMPTS = 10

/**
 * Runs `story` in one transaction: all of it or nothing. What it gave to afterCommit runs when the rows are durable. Where others
 * were in its way, or the connection broke before it was to be committed, it is told again from its beginning: a story changes
 * nothing but rows.
 */
export async function transact<T>(db: Db, story: (tx: Tx) => Promise<T>): Promise<T> {
  const held = new Set<string>()
  for (let attempt = 1; ; ) {
    const course: TransactionState = { later: [], held: isPostgres(db) ? held : null }
    const told = await withWorkspaceQueue(db, course.held ?? [], () =>
      tell(db, story, course),
    ).catch((error: unknown) => ({ error }))
    if (!('error' in told)) {
      await actAll(course.later)
      return told.result
    }
    if (told.error instanceof RestartTransaction) held.add(told.error.workspaceId)
    else if (!isRetryable(told.error) || attempt++ === ATTEMPTS) throw told.error
    else await sleep(Math.random() * 20 * attempt)
  }
}

async function tell<T>(db: Db, story: (tx: Tx) => Promise<T>, course: TransactionState) {
  let isOver = false
  try {
    const result = await db.transaction().execute(async (tx) => {
      courses.set(tx, course)
      // In one order for all, so that two never wait for each other.
      for (const id of [...(course.held ?? [])].sort()) await takeRow(tx, id)
      const result = await story(tx)
      isOver = true
      return result
    })
    return { result }
  } catch (error) {
    // Whether it was committed nobody knows; to tell it again could do it twice.
    if (isOver && error instanceof ConnectionLost && !isBeforeCommit(error))
      throw new CommitUnknown(error)
    throw error
  }
}

/**
 * From its first statement to its end, this transaction is the only one that writes in the workspace: what it reads and then
 * decides by stays true. On PostgreSQL a story that asks late is told again from its beginning, with the workspace taken first.
 */
export function lockWorkspace(tx: Tx, workspaceId: string): void {
  const held = courses.get(tx)?.held
  if (held && !held.has(workspaceId)) throw new RestartTransaction(workspaceId)
}

/** A workspace that this transaction makes is its own from the beginning. */
export const holdNewWorkspace = (tx: Tx, workspaceId: string): void =>
  void courses.get(tx)?.held?.add(workspaceId)

/**
 * To its end, this transaction is the only one that holds this user: what it reads from here on and then decides by stays true.
 * Whoever holds a user waits for no workspace any more, so two never wait for each other.
 */
export async function holdUser(tx: Tx, userId: string): Promise<void> {
  if (!courses.get(tx)?.held) return
  await tx.selectFrom('users').select('id').where('id', '=', userId).forNoKeyUpdate().execute()
}

class RestartTransaction extends Error {
  readonly workspaceId: string
  constructor(workspaceId: string) {
    super(`${workspaceId} is to be taken first`)
    this.workspaceId = workspaceId
  }
}

/** On which it is published how many milliseconds a transaction has waited for a workspace, also where it waited in vain. */
export const lockWaits = channel('holdall:workspace-lock-wait')

async function takeRow(tx: Tx, id: string) {
  const since = performance.now()
  try {
    await tx.selectFrom('workspaces').select('id').where('id', '=', id).forNoKeyUpdate().execute()
  } finally {
    lockWaits.publish(performance.now() - since)
  }
}

/** One that fails keeps none of the others from being done; the first failure is told at the end. */
async function actAll(acts: (() => unknown)[]) {
  const failures: unknown[] = []
  for (const act of acts) {
    try {
      await act()
    } catch (error) {
      failures.push(error)
    }
  }
  if (failures.length > 0) throw failures[0]
}

/** Remembers `act` for the moment after `tx` has committed; a transaction that rolls back forgets it. */
export function afterCommit(tx: Tx, act: () => unknown) {
  courses.get(tx)?.later.push(act)
}
