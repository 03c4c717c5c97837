import { randomUUID } from 'node:crypto'
import type { ServiceContext } from '../../../context.ts'
import type { Db } from '../../../database/database.ts'
import { prepared } from '../../../database/query/prepared.ts'
import type { Row } from '../../../database/tables.ts'
import { transact } from '../../../database/transaction.ts'

export type Installation = Row<'installation'>
type RowContext = Pick<ServiceContext, 'db' | 'now'>

/** Number of stamps to keep: about a month at one per minute, for servers that resume after a long pause. */
const MAX_STAMPS = 50_000

/** Returns the installation row: the id of this database and the state of its sweeper. */
export const installationOf = (db: Db): Promise<Installation> =>
  db.selectFrom('installation').selectAll().executeTakeFirstOrThrow()

/** Returns whether deleting from the store is paused. */
export async function isPaused(db: Db): Promise<boolean> {
  const [row] = await pausedAt(db)
  return row?.pausedAt != null
}
const pausedAt = prepared((db) => db.selectFrom('installation').select('pausedAt'))

/**
 * Pauses deleting from the store until an operator confirms the store. Returns false if it was already
 * paused; the first reason is then kept.
 */
export async function pauseSweeping(
  { db, now }: RowContext,
  pausedBecause: string,
): Promise<boolean> {
  const { numUpdatedRows } = await db
    .updateTable('installation')
    .set({ pausedAt: now(), pausedBecause })
    .where('pausedAt', 'is', null)
    .executeTakeFirst()
  return numUpdatedRows > 0n
}

/** Resumes sweeping after an operator has confirmed that the store belongs to this database. */
export const resumeSweeping = (db: Db) =>
  db
    .updateTable('installation')
    .set({ pausedAt: null, pausedBecause: null, refusedAt: null, refusedObjects: 0 })
    .execute()

/** Records how many orphans the last sweep found but refused to quarantine; 0 if it did not refuse. */
export const recordRefusedSweep = ({ db, now }: RowContext, refusedObjects: number) =>
  db
    .updateTable('installation')
    .set({ refusedObjects, refusedAt: refusedObjects > 0 ? now() : null })
    .execute()

/**
 * Creates the next stamp for the store. It is committed before the store gets it, so that a crash cannot
 * leave the store ahead.
 */
export function newStamp(db: Db): Promise<{ installation: string; number: number; stamp: string }> {
  const stamp = randomUUID()
  return transact(db, async (tx) => {
    const { id, starts } = await tx
      .updateTable('installation')
      .set((eb) => ({ starts: eb('starts', '+', 1) }))
      .returning(['id', 'starts'])
      .executeTakeFirstOrThrow()
    await tx.insertInto('storeStamps').values({ stamp, number: starts }).execute()
    await tx
      .deleteFrom('storeStamps')
      .where('number', '<=', starts - MAX_STAMPS)
      .execute()
    return { installation: id, number: starts, stamp }
  })
}

/**
 * Returns whether this database created the stamp. An unknown stamp comes from another database or from a
 * later state of this one.
 */
export async function isKnownStamp(db: Db, stamp: string): Promise<boolean> {
  const row = db.selectFrom('storeStamps').select('stamp').where('stamp', '=', stamp)
  return (await row.executeTakeFirst()) !== undefined
}

/**
 * Records that an operator accepts the loss of the bytes of all current blobs: later starts do not look for
 * them.
 */
export async function acceptLosses(db: Db): Promise<void> {
  const last = await db.selectFrom('blobs').select('id').orderBy('id', 'desc').executeTakeFirst()
  await db
    .updateTable('installation')
    .set({ acceptedUpTo: last?.id ?? null })
    .execute()
}

/** Returns the state of the sweeper for metrics. */
export async function sweepState(db: Db) {
  const { pausedAt, refusedObjects } = await installationOf(db)
  return { isPaused: pausedAt !== null, refusedObjects, ...(await quarantineSize(db)) }
}

/** Returns the number and total size of the objects in quarantine. */
export const quarantineSize = (db: Db): Promise<{ objects: number; bytes: number }> =>
  db
    .selectFrom('quarantine')
    .select((eb) => [
      eb.fn.countAll<number>().as('objects'),
      eb.fn.coalesce(eb.fn.sum<number>('size'), eb.lit(0)).as('bytes'),
    ])
    .executeTakeFirstOrThrow()
