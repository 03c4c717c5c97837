import type { Transaction } from 'kysely'
import type { Db } from './database.ts'
import type { Tables } from './tables.ts'

export type Tx = Transaction<Tables>

const pending = new WeakMap<Tx, (() => unknown)[]>()

/** Runs `story` in one transaction: all of it or nothing. What it gave to afterCommit runs when the rows are durable. */
export async function transact<T>(db: Db, story: (tx: Tx) => Promise<T>): Promise<T> {
  const later: (() => unknown)[] = []
  const result = await db.transaction().execute((tx) => {
    pending.set(tx, later)
    return story(tx)
  })
  await actAll(later)
  return result
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
  pending.get(tx)?.push(act)
}
