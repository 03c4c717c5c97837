import type { Db } from '../database.ts'
import type { Row } from '../tables.ts'

type Counter = Row<'tallies'>
/**
 * Adds `points` at `now`. An open counter keeps its end; a new one ends after `windowMs`. A counter that ends
 * later than two windows from now was started before the clock went back, and counts as ended.
 */
type Increment = { key: string; points: number; now: number; windowMs: number }

/** Adds to a counter and returns its new state. Atomic: concurrent increments each see a different sum. */
export async function increment(
  db: Db,
  { key, points, now, windowMs }: Increment,
): Promise<Counter> {
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

/** Returns the counter, or null if it has ended or does not exist. */
export async function findCounter(db: Db, key: string, now: number): Promise<Counter | null> {
  const isOpen = db
    .selectFrom('tallies')
    .selectAll()
    .where('key', '=', key)
    .where('endsAt', '>', now)
  return (await isOpen.executeTakeFirst()) ?? null
}

/** Deletes the counters that have ended by `now` (milliseconds since 1970). */
export async function deleteEndedCounters(db: Db, now: number): Promise<void> {
  await db.deleteFrom('tallies').where('endsAt', '<=', now).execute()
}
