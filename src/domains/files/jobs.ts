import type { BlobStore } from '../../blobs/blob-store.ts'
import type { Db } from '../../database/database.ts'
import { transact } from '../../database/transaction.ts'
import { enqueue } from '../../jobs/queue.ts'
import { SWEEP_BLOBS } from './blobs.ts'

const BATCH_SIZE = 100

/** Delay before the next sweep while a backup runs. */
const RETRY_MS = 60_000

/**
 * Deletes the bytes of unreferenced blobs, then their rows. Can be interrupted at any point and run again.
 */
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
    if (unreferenced.length < BATCH_SIZE) break
  }
  if (await isBackupRunning(db, now())) {
    await transact(db, (tx) =>
      enqueue(tx, { kind: SWEEP_BLOBS, id: SWEEP_BLOBS, runAt: now() + RETRY_MS }),
    )
  }
}

/**
 * Returns unreferenced blobs, but none while a backup runs, because its copy of the rows may refer to them.
 * Uses one statement, so that every returned blob was unreferenced before a later backup reads the rows.
 */
const sweepable = (db: Db, now: number) =>
  db
    .selectFrom('blobs')
    .select('id')
    .where('unreferencedAt', 'is not', null)
    .where(({ not, exists, selectFrom }) =>
      not(exists(selectFrom('backups').select('id').where('leaseUntil', '>', now))),
    )
    .limit(BATCH_SIZE)
    .execute()

async function isBackupRunning(db: Db, now: number): Promise<boolean> {
  const backup = await db
    .selectFrom('backups')
    .select('id')
    .where('leaseUntil', '>', now)
    .executeTakeFirst()
  return backup !== undefined
}
