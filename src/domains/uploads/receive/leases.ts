import { randomUUID } from 'node:crypto'
import type { ServiceContext } from '../../../context.ts'
import { databaseNowPlus } from '../../../database/clock.ts'
import { type Db, hasSeveralProcesses } from '../../../database/database.ts'
import { listen, notifyNow } from '../../../database/notify.ts'
import { uploadById } from '../reads.ts'
import { statusAt, type UploadRow } from '../rules.ts'
import { type KeptLease, type LeaseKeeper, leaseKeeper } from './lease-keeper.ts'
import { noWriter, receivable, takeLease } from './offsets.ts'

/*
 * Only one request at a time appends to an upload, across all processes. The lease is stored in the upload's
 * row: the writer, its expiry, and the fence under which the writer commits. A later request increments
 * `turn` to request the lease and notifies the writer, which stops reading, commits what arrived and releases
 * the lease. A requested lease is not renewed: if the writer is dead or hangs, the lease expires and is
 * reclaimed, and by then the writer has stopped writing. SQLite has one process and no leases.
 */

const LEASE_TTL_MS = 1700
const POLL_INTERVAL_MS = 50
/** Longer than any lease. After this time the client gets an error and may retry. */
const ACQUIRE_TIMEOUT_MS = 2500

export type WriteLease = {
  /** The row as returned by takeLease. */
  upload: UploadRow | null
  /**
   * Returns whether the holder may still write. Until this is false or the lease is released, no other
   * request writes.
   */
  isMine: () => boolean
  /**
   * Releases the lease. Call it after all appends have ended. `latest` is the row returned by
   * commitFinalOffset, if any.
   */
  release: (latest: UploadRow | null) => Promise<void>
}

const keepers = new WeakMap<Db, LeaseKeeper>()

/**
 * Makes leases on the uploads of `db` use the separate connection `renewing`, so that their renewals do not
 * queue behind other queries.
 */
export function renewLeasesOver(db: Db, renewing: Db): void {
  keepers.set(db, leaseKeeper(renewing, LEASE_TTL_MS))
}

function keeperOf(db: Db): LeaseKeeper | null {
  if (!hasSeveralProcesses(db)) return null
  const keeper = keepers.get(db) ?? leaseKeeper(db, LEASE_TTL_MS)
  keepers.set(db, keeper)
  return keeper
}

/**
 * Makes the caller the only writer of an upload across all processes, after the current writer has stopped.
 * Aborts `stop` with 'newer' when another request wants to write, and with 'lost' when the lease cannot be
 * renewed. Returns null if a newer request has arrived, if the caller is stopped, or if the current writer
 * does not stop in time.
 */
export async function acquireWriteLease(
  ctx: ServiceContext,
  id: string,
  stop: AbortController,
): Promise<WriteLease | null> {
  const keeper = keeperOf(ctx.db)
  if (!keeper) return localLease(await takeLease(ctx, id))
  using notifications = listen(id)
  const writer = randomUUID()
  let turn: number | null = null
  const deadline = performance.now() + ACQUIRE_TIMEOUT_MS
  while (performance.now() < deadline) {
    const since = performance.now()
    const upload = await takeLease(ctx, id, { writer, leaseMs: LEASE_TTL_MS, turn })
    if (!upload || !isReceivable(ctx, upload)) return localLease(upload)
    const { turn: newest } = upload
    if (upload.writer === writer) {
      return writeLease(ctx, upload, keeper.keep({ id, writer, turn: newest, stop, since }), stop)
    }
    if (stop.signal.aborted || (turn !== null && newest > turn)) return null
    turn ??= await requestLease(ctx, id)
    await notifications.news(POLL_INTERVAL_MS, stop.signal)
  }
  return null
}

/**
 * Stops the current writer of an upload, waits until it has stopped, and returns the row. Does not wait for a
 * writer whose request is newer. Returns null if the writer does not stop in time.
 */
export async function preemptWriter(
  ctx: ServiceContext,
  id: string,
  stop: AbortController,
): Promise<{ upload: UploadRow | null } | null> {
  let upload = await uploadById(ctx.db, id)
  if (!hasWriter(ctx, upload)) return { upload }
  using notifications = listen(id)
  const turn = await requestLease(ctx, id)
  const deadline = performance.now() + ACQUIRE_TIMEOUT_MS
  while (performance.now() < deadline) {
    upload = (await removeExpiredWriter(ctx, id, turn)) ?? (await uploadById(ctx.db, id))
    if (!hasWriter(ctx, upload) || upload?.turn !== turn || stop.signal.aborted) return { upload }
    await notifications.news(POLL_INTERVAL_MS, stop.signal)
  }
  return null
}

const isReceivable = ({ now }: ServiceContext, upload: UploadRow) =>
  receivable.includes(statusAt(upload, now()))

const hasWriter = (ctx: ServiceContext, upload: UploadRow | null) =>
  upload !== null && upload.writer !== null && isReceivable(ctx, upload)

/**
 * Requests the lease from the current writer. Returns the number of this request, or null if there is no
 * writer.
 */
async function requestLease({ db }: ServiceContext, id: string): Promise<number | null> {
  const requested = await db
    .updateTable('uploads')
    .set((eb) => ({ turn: eb('turn', '+', 1) }))
    .where('id', '=', id)
    .where('writer', 'is not', null)
    .returning('turn')
    .executeTakeFirst()
  if (requested) await notifyNow(db, id)
  return requested?.turn ?? null
}

/** Removes a writer whose lease has expired. The new fence prevents it from committing. */
async function removeExpiredWriter({ db }: ServiceContext, id: string, turn: number | null) {
  const updated = await db
    .updateTable('uploads')
    .set((eb) => ({ ...noWriter, fence: eb('fence', '+', 1) }))
    .where('id', '=', id)
    .where('turn', '=', turn)
    .where('writerUntil', '<=', databaseNowPlus(0))
    .returningAll()
    .executeTakeFirst()
  return updated ?? null
}

/** Returns a lease for a database that only this process uses, or for an upload that accepts no bytes. */
const localLease = (upload: UploadRow | null): WriteLease => ({
  upload,
  isMine: () => true,
  async release() {},
})

function writeLease(
  { db }: ServiceContext,
  upload: UploadRow,
  lease: KeptLease,
  stop: AbortController,
): WriteLease {
  const { id, writer } = upload
  return {
    upload,
    isMine: lease.isMine,
    async release(latest) {
      lease[Symbol.dispose]()
      const isReleased = latest?.id === id && latest.writer !== writer
      const releaseRow = async () => {
        if (!isReleased) await clearWriter(db, id, writer)
        if (stop.signal.aborted) await notifyNow(db, id)
      }
      // If this fails, the lease expires.
      await releaseRow().catch(() => {})
    },
  }
}

const clearWriter = (db: Db, id: string, writer: string | null) =>
  db
    .updateTable('uploads')
    .set(noWriter)
    .where('id', '=', id)
    .where('writer', '=', writer)
    .execute()
