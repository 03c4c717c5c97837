import { sql } from 'kysely'
import type { Db } from '../../../database/database.ts'
import type { Row } from '../../../database/tables.ts'
import type { Log } from '../../../log.ts'
import { confirmStore, type StoreScope } from './claim.ts'
import { installationOf } from './installation.ts'
import { type Orphan, orphansAmong, places } from './orphans.ts'

const BATCH = 500
/** What a clock that leaps adds to an age at most: it is observed every hour. */
const MAX_STEP_MS = 2 * 3_600_000

/** Puts orphans aside: the row first, so that a crash in between leaves a row without an object, which ages away. */
export async function quarantineOrphans(s: StoreScope, orphans: readonly Orphan[]): Promise<void> {
  for (const orphan of orphans) {
    await addRow(s, orphan)
    await s.blobs.quarantine.move(orphan.key, orphan.place)
  }
}

function addRow({ db, now }: Omit<StoreScope, 'blobs'>, orphan: Orphan) {
  const fresh = { size: orphan.size, foundAt: now(), ageMs: 0, observedAt: now() }
  return db
    .insertInto('quarantine')
    .values({ ...orphan, ...fresh })
    .onConflict((oc) => oc.columns(['key', 'place']).doUpdateSet(fresh))
    .execute()
}

/**
 * Looks after what is in quarantine: takes back what has a row again, and deletes what was observed there for `quarantineMs`. Runs every
 * hour; nothing is deleted while sweeping is off or was refused, and nothing ages while it is off.
 */
export async function tendQuarantine(
  s: StoreScope,
  { quarantineMs, log, signal }: { quarantineMs: number; log: Log; signal?: AbortSignal },
): Promise<void> {
  const isConfirmed = await confirmStore(s, log)
  if (!isConfirmed && !(await isOwn(s))) return
  await addUnlisted(s)
  const returned = await returnKnown(s, signal)
  if (!isConfirmed) {
    log.info({ returned, deleted: 0 }, 'quarantine looked after')
    return
  }
  await observe(s)
  const { refusedAt } = await installationOf(s.db)
  const deleted = refusedAt === null ? await deleteDue(s, quarantineMs, signal) : 0
  log.info({ returned, deleted }, 'quarantine looked after')
}

async function isOwn({ db, blobs }: StoreScope) {
  const [{ id }, found] = [await installationOf(db), await blobs.record.read()]
  return found?.record.installation === id
}

/** What the store has in quarantine and this database does not know, since it was restored: its age begins now. */
async function addUnlisted(s: StoreScope) {
  for await (const orphan of s.blobs.quarantine.list()) {
    const row = s.db.selectFrom('quarantine').select('key').where('key', '=', orphan.key)
    if (await row.where('place', '=', orphan.place).executeTakeFirst()) continue
    await addRow(s, orphan)
  }
}

/** Takes back what has a row again. Returns how many that were. */
export async function returnKnown(s: StoreScope, signal?: AbortSignal): Promise<number> {
  let returned = 0
  for await (const { place, keys } of rowsInBatches(s.db)) {
    signal?.throwIfAborted()
    const orphans = new Set(await orphansAmong(s, place, keys))
    for (const key of keys.filter((key) => !orphans.has(key))) {
      await takeBack(s, { key, place })
      returned += 1
    }
  }
  return returned
}

/** Puts an object back where it was. */
export async function takeBack(
  { db, blobs }: Pick<StoreScope, 'db' | 'blobs'>,
  { key, place }: Pick<Row<'quarantine'>, 'key' | 'place'>,
): Promise<void> {
  await blobs.quarantine.restore(key, place)
  await deleteRow(db, { key, place })
}

const observe = ({ db, now }: StoreScope) =>
  db
    .updateTable('quarantine')
    .set((eb) => ({
      ageMs: eb('ageMs', '+', step(now())),
      observedAt: now(),
    }))
    .execute()

const step = (now: number) => sql<number>`CASE
  WHEN "observedAt" > ${now} THEN 0
  WHEN "observedAt" < ${now - MAX_STEP_MS} THEN ${MAX_STEP_MS}
  ELSE ${now} - "observedAt" END`

async function deleteDue(s: StoreScope, quarantineMs: number, signal?: AbortSignal) {
  let deleted = 0
  for await (const { place, keys } of rowsInBatches(s.db, quarantineMs)) {
    signal?.throwIfAborted()
    for (const key of await orphansAmong(s, place, keys)) {
      await s.blobs.quarantine.remove(key, place)
      await deleteRow(s.db, { key, place })
      deleted += 1
    }
  }
  return deleted
}

/** Keys in quarantine that are at least so old, some hundred of one place at a time. */
async function* rowsInBatches(db: Db, ageMs = 0) {
  for (const place of places)
    for (let after = ''; ; ) {
      const rows = await db
        .selectFrom('quarantine')
        .select('key')
        .where('place', '=', place)
        .where('key', '>', after)
        .where('ageMs', '>=', ageMs)
        .orderBy('key')
        .limit(BATCH)
        .execute()
      const keys = rows.map(({ key }) => key)
      if (keys.length > 0) yield { place, keys }
      if (keys.length < BATCH) break
      after = keys.at(-1) ?? ''
    }
}

const deleteRow = (db: Db, { key, place }: Pick<Row<'quarantine'>, 'key' | 'place'>) =>
  db.deleteFrom('quarantine').where('key', '=', key).where('place', '=', place).execute()
