import type { Db } from './database.ts'
import type { Row } from './tables.ts'

type Tally = Row<'tallies'>
/**
 * Adds `points` at `now`; a tally that is there grows until its end, a new one ends after `windowMs`. One that would last twice as long
 * was begun by a clock that has gone back since, and is over.
 */
type Addition = { key: string; points: number; now: number; windowMs: number }

/** How much was added to a tally since it began; several processes that add at the same moment each see another sum. */
export async function increment(db: Db, addition: Addition): Promise<Tally> {
  const { key, points, now, windowMs } = addition
  return db
    .insertInto('tallies')
    .values({ key, points, endsAt: now + windowMs })
    .onConflict((row) =>
      row.column('key').doUpdateSet((eb) => {
        const isOver = eb.or([
          eb('tallies.endsAt', '<=', now),
          eb('tallies.endsAt', '>', now + 2 * windowMs),
        ])
        const grown = eb('tallies.points', '+', points)
        return {
          points: eb.case().when(isOver).then(eb.ref('excluded.points')).else(grown).end(),
          endsAt: eb
            .case()
            .when(isOver)
            .then(eb.ref('excluded.endsAt'))
            .else(eb.ref('tallies.endsAt'))
            .end(),
        }
      }),
    )
    .returningAll()
    .executeTakeFirstOrThrow()
}

/** Null for one that is over, or has not begun. */
export async function tallyOf(db: Db, key: string, now: number): Promise<Tally | null> {
  const isOpen = db
    .selectFrom('tallies')
    .selectAll()
    .where('key', '=', key)
    .where('endsAt', '>', now)
  return (await isOpen.executeTakeFirst()) ?? null
}

/** Forgets the tallies that are over. */
export async function dropTallies(db: Db, now: number): Promise<void> {
  await db.deleteFrom('tallies').where('endsAt', '<=', now).execute()
}
