import { randomUUID } from 'node:crypto'
import type { ServiceContext } from '../../../context.ts'
import type { Db } from '../../../database/database.ts'
import { prepared } from '../../../database/query/prepared.ts'
import type { Row } from '../../../database/tables.ts'
import { transact } from '../../../database/transaction.ts'

export type Installation = Row<'installation'>
type RowScope = Pick<ServiceContext, 'db' | 'now'>

/** So many stamps are known again: of a month of one each minute, for servers that were frozen with an old one. */
const MAX_STAMPS = 50_000

/** Returns what this database is known by, and whether its sweeper may act. */
export const installationOf = (db: Db): Promise<Installation> =>
  db.selectFrom('installation').selectAll().executeTakeFirstOrThrow()

/** Whether nothing may be deleted from the store at present. */
export async function isPaused(db: Db): Promise<boolean> {
  const [row] = await pausedAt(db)
  return row?.pausedAt != null
}
const pausedAt = prepared((db) => db.selectFrom('installation').select('pausedAt'))

/**
 * From now on nothing is deleted from the store, until an operator confirms it; the first reason stays. Returns false where it was
 * so before.
 */
export async function pauseSweeping(
  { db, now }: RowScope,
  pausedBecause: string,
): Promise<boolean> {
  const { numUpdatedRows } = await db
    .updateTable('installation')
    .set({ pausedAt: now(), pausedBecause })
    .where('pausedAt', 'is', null)
    .executeTakeFirst()
  return numUpdatedRows > 0n
}

/** An operator has confirmed that the store belongs to this database as it is now. */
export const resumeSweeping = (db: Db) =>
  db
    .updateTable('installation')
    .set({ pausedAt: null, pausedBecause: null, refusedAt: null, refusedObjects: 0 })
    .execute()

/** Notes how many objects the last sweep found but was not allowed to put aside; 0 where it was allowed. */
export const noteRefusal = ({ db, now }: RowScope, refusedObjects: number) =>
  db
    .updateTable('installation')
    .set({ refusedObjects, refusedAt: refusedObjects > 0 ? now() : null })
    .execute()

/** Makes the next stamp for the store. It is committed before the store has it, so that the store is never ahead by a crash. */
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

/** Whether this database made the stamp: one that it does not know came from another, or from a later state of itself. */
export async function isKnownStamp(db: Db, stamp: string): Promise<boolean> {
  const row = db.selectFrom('storeStamps').select('stamp').where('stamp', '=', stamp)
  return (await row.executeTakeFirst()) !== undefined
}

/** An operator accepts that the bytes of all blobs of this moment may be missing: they are not looked for at a start again. */
export async function acceptLosses(db: Db): Promise<void> {
  const last = await db.selectFrom('blobs').select('id').orderBy('id', 'desc').executeTakeFirst()
  await db
    .updateTable('installation')
    .set({ acceptedUpTo: last?.id ?? null })
    .execute()
}

/** What is known of the sweeper, for metrics. */
export async function sweepState(db: Db) {
  const { pausedAt, refusedObjects } = await installationOf(db)
  return { isPaused: pausedAt !== null, refusedObjects, ...(await quarantineSize(db)) }
}

/** Counts what is in quarantine. */
export const quarantineSize = (db: Db): Promise<{ objects: number; bytes: number }> =>
  db
    .selectFrom('quarantine')
    .select((eb) => [
      eb.fn.countAll<number>().as('objects'),
      eb.fn.coalesce(eb.fn.sum<number>('size'), eb.lit(0)).as('bytes'),
    ])
    .executeTakeFirstOrThrow()
