import { randomUUID } from 'node:crypto'
import { StartupError } from '../config.ts'
import type { Db } from '../database/database.ts'

/** How long a backup that was killed keeps the bytes of purged files from being deleted. */
const LEASE_MS = 600_000
const RENEW_MS = 30_000

export type BackupLease = {
  /** Throws StartupError where bytes may have been deleted meanwhile. */
  requireHeld: () => void
} & AsyncDisposable

/**
 * Tells the servers of this database that a backup is being made: until it is disposed, none deletes the bytes of files that were
 * purged after the rows were read (domains/files/jobs.ts).
 */
export async function takeBackupLease(db: Db): Promise<BackupLease> {
  const id = randomUUID()
  const leaseUntil = Date.now() + LEASE_MS
  await db.insertInto('backups').values({ id, leaseUntil }).execute()
  let heldUntil = leaseUntil
  const renewal = setInterval(async () => {
    const leaseUntil = Date.now() + LEASE_MS
    const renewed = await renew(db, id, leaseUntil).catch(() => false)
    if (renewed) heldUntil = leaseUntil
  }, RENEW_MS)
  return {
    requireHeld() {
      if (Date.now() < heldUntil) return
      throw new StartupError('The database did not answer for ten minutes; begin the backup again.')
    },
    async [Symbol.asyncDispose]() {
      clearInterval(renewal)
      // Where the database is gone it ends by itself.
      await db
        .deleteFrom('backups')
        .where('id', '=', id)
        .execute()
        .catch(() => {})
    },
  }
}

/** One that has ended is not renewed: bytes may be gone. */
async function renew(db: Db, id: string, leaseUntil: number): Promise<boolean> {
  const { numUpdatedRows } = await db
    .updateTable('backups')
    .set({ leaseUntil })
    .where('id', '=', id)
    .where('leaseUntil', '>', Date.now())
    .executeTakeFirst()
  return numUpdatedRows > 0n
}

/** Backups that were being made when the rows were copied are none of the copy's. */
export const forgetBackups = (db: Db) => db.deleteFrom('backups').execute()
