import { randomUUID } from 'node:crypto'
import { keepLease } from '../concurrency/lease.ts'
import { StartupError } from '../config/startup-error.ts'
import type { Db } from '../database/database.ts'

/** How long the lease of a killed backup blocks the deletion of purged blobs. */
const LEASE_TTL_MS = 600_000
const RENEW_INTERVAL_MS = 30_000

export type BackupLease = {
  /** Throws StartupError if the lease may have expired, because bytes may have been deleted since. */
  requireHeld: () => void
} & AsyncDisposable

/**
 * Acquires a lease that stops all servers of this database from deleting the bytes of files purged after the
 * snapshot (domains/files/jobs.ts), until it is disposed.
 */
export async function acquireBackupLease(db: Db): Promise<BackupLease> {
  const id = randomUUID()
  const leaseUntil = Date.now() + LEASE_TTL_MS
  await db.insertInto('backups').values({ id, leaseUntil }).execute()
  let heldUntil = leaseUntil
  const renewal = keepLease(RENEW_INTERVAL_MS, async () => {
    const leaseUntil = Date.now() + LEASE_TTL_MS
    if (await renew(db, id, leaseUntil)) heldUntil = leaseUntil
  })
  return {
    requireHeld() {
      if (Date.now() < heldUntil) return
      throw new StartupError('The database did not answer for ten minutes; start the backup again.')
    },
    async [Symbol.asyncDispose]() {
      renewal[Symbol.dispose]()
      // If the database is unreachable, the lease expires without being deleted.
      await db
        .deleteFrom('backups')
        .where('id', '=', id)
        .execute()
        .catch(() => {})
    },
  }
}

/** Returns false if the lease has expired: bytes may have been deleted since. */
async function renew(db: Db, id: string, leaseUntil: number): Promise<boolean> {
  const { numUpdatedRows } = await db
    .updateTable('backups')
    .set({ leaseUntil })
    .where('id', '=', id)
    .where('leaseUntil', '>', Date.now())
    .executeTakeFirst()
  return numUpdatedRows > 0n
}

/** Deletes the backup leases that a restored database brings with it. */
export const deleteBackupLeases = (db: Db) => db.deleteFrom('backups').execute()
