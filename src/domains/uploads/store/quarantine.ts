import { sql } from 'kysely'
import type { Db } from '../../../database/database.ts'
import { batchesBy } from '../../../database/query/batches.ts'
import type { Row } from '../../../database/tables.ts'
import type { Log } from '../../../log.ts'
import { confirmStore, type StoreContext } from './claim.ts'
import { installationOf } from './installation.ts'
import { type Orphan, orphansAmong, places } from './orphans.ts'

const BATCH_SIZE = 500
/** Maximum age that one hourly run adds, in case the clock jumps. */
const MAX_STEP_MS = 2 * 3_600_000

/**
 * Moves orphans to quarantine. The row is written first, because a crash in between then leaves a row without
 * an object, which is harmless.
 */
export async function quarantineOrphans(
  s: StoreContext,
  orphans: readonly Orphan[],
): Promise<void> {
  for (const orphan of orphans) {
    await addRow(s, orphan)
    await s.blobs.quarantine.move(orphan.key, orphan.place)
  }
}

function addRow({ db, now }: Omit<StoreContext, 'blobs'>, orphan: Orphan) {
  const fresh = { size: orphan.size, foundAt: now(), ageMs: 0, observedAt: now() }
  return db
    .insertInto('quarantine')
    .values({ ...orphan, ...fresh })
    .onConflict((oc) => oc.columns(['key', 'place']).doUpdateSet(fresh))
    .execute()
}

/**
 * Processes the quarantine in its hourly run: restores objects that have a row again, and deletes objects
 * that were in quarantine for `quarantineMs`. Deletes nothing while sweeping is paused or after a refused
 * sweep. Objects do not age while sweeping is paused.
 */
export async function processQuarantine(
  s: StoreContext,
  { quarantineMs, log, signal }: { quarantineMs: number; log: Log; signal?: AbortSignal },
): Promise<void> {
  const isConfirmed = await confirmStore(s, log)
  if (!isConfirmed && !(await isOwn(s))) return
  await addUnlisted(s)
  const returned = await restoreReferenced(s, signal)
  if (!isConfirmed) {
    log.info({ returned, deleted: 0 }, 'quarantine processed')
    return
  }
  await observe(s)
  const { refusedAt } = await installationOf(s.db)
  const deleted = refusedAt === null ? await deleteDue(s, quarantineMs, signal) : 0
  log.info({ returned, deleted }, 'quarantine processed')
}

async function isOwn({ db, blobs }: StoreContext) {
  const [{ id }, found] = [await installationOf(db), await blobs.record.read()]
  return found?.record.installation === id
}

/**
 * Adds rows for quarantined objects that are unknown to this database because it was restored. Their age
 * starts at zero.
 */
async function addUnlisted(s: StoreContext) {
  for await (const orphan of s.blobs.quarantine.list()) {
    const row = s.db.selectFrom('quarantine').select('key').where('key', '=', orphan.key)
    if (await row.where('place', '=', orphan.place).executeTakeFirst()) continue
    await addRow(s, orphan)
  }
}

/** Restores the objects that have a row again, and returns their number. */
export async function restoreReferenced(s: StoreContext, signal?: AbortSignal): Promise<number> {
  let returned = 0
  for await (const { place, keys } of rowsInBatches(s.db)) {
    signal?.throwIfAborted()
    const orphans = new Set(await orphansAmong(s, place, keys))
    for (const key of keys.filter((key) => !orphans.has(key))) {
      await restoreObject(s, { key, place })
      returned += 1
    }
  }
  return returned
}

/** Moves an object from quarantine back to its place. */
export async function restoreObject(
  { db, blobs }: Pick<StoreContext, 'db' | 'blobs'>,
  { key, place }: Pick<Row<'quarantine'>, 'key' | 'place'>,
): Promise<void> {
  await blobs.quarantine.restore(key, place)
  await deleteRow(db, { key, place })
}

const observe = ({ db, now }: StoreContext) =>
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

async function deleteDue(s: StoreContext, quarantineMs: number, signal?: AbortSignal) {
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

/**
 * Yields the keys that have been in quarantine for at least `ageMs` milliseconds, in batches of one place.
 */
async function* rowsInBatches(db: Db, ageMs = 0) {
  for (const place of places) {
    const ofPlace = db.selectFrom('quarantine').select('key').where('place', '=', place)
    const due = ofPlace.where('ageMs', '>=', ageMs).orderBy('key').limit(BATCH_SIZE)
    const read = (after: string) => due.where('key', '>', after).execute()
    for await (const rows of batchesBy('key', BATCH_SIZE, read))
      yield { place, keys: rows.map(({ key }) => key) }
  }
}

const deleteRow = (db: Db, { key, place }: Pick<Row<'quarantine'>, 'key' | 'place'>) =>
  db.deleteFrom('quarantine').where('key', '=', key).where('place', '=', place).execute()
