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
  for (const act of later) await act()
  return result
}

/** Remembers `act` for the moment after `tx` has committed; a transaction that rolls back forgets it. */
export function afterCommit(tx: Tx, act: () => unknown) {
  pending.get(tx)?.push(act)
}
