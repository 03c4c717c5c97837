import type { BlobStore } from '../../blobs/blob-store.ts'
import type { Db } from '../../database/database.ts'
import { transact } from '../../database/transaction.ts'
import { enqueue } from '../../jobs/queue.ts'
import { SWEEP_BLOBS } from './blobs.ts'

const AT_ONCE = 100

/** So much later it is looked whether a backup has ended. */
const RETRY_MS = 60_000

/** Unlinks the bytes of blobs without a reference, then forgets them; cut anywhere, it is simply done again. */
export async function sweepBlobs(
  { db, blobs, now }: { db: Db; blobs: BlobStore; now: () => number },
  signal: AbortSignal,
): Promise<void> {
  while (!signal.aborted) {
    const unreferenced = await sweepable(db, now())
    for (const { id } of unreferenced) {
      await blobs.remove(id)
      await db.deleteFrom('blobs').where('id', '=', id).execute()
    }
    if (unreferenced.length < AT_ONCE) break
  }
  if (await isBackupRunning(db, now())) {
    await transact(db, (tx) =>
      enqueue(tx, { kind: SWEEP_BLOBS, id: SWEEP_BLOBS, runAt: now() + RETRY_MS }),
    )
  }
}

/**
 * None while a backup is made: its rows may still refer to them. In one statement, so that what is found was unreferenced before any
 * later backup read the rows.
 */
const sweepable = (db: Db, now: number) =>
  db
    .selectFrom('blobs')
    .select('id')
    .where('unreferencedAt', 'is not', null)
    .where(({ not, exists, selectFrom }) =>
      not(exists(selectFrom('backups').select('id').where('leaseUntil', '>', now))),
    )
    .limit(AT_ONCE)
    .execute()

async function isBackupRunning(db: Db, now: number): Promise<boolean> {
  const backup = await db
    .selectFrom('backups')
    .select('id')
    .where('leaseUntil', '>', now)
    .executeTakeFirst()
  return backup !== undefined
}
