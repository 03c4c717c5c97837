import { randomUUID } from 'node:crypto'
import type { ServiceContext } from '../../../context.ts'
import { databaseNowPlus } from '../../../database/clock.ts'
import { type Db, isPostgres } from '../../../database/database.ts'
import { listen, notifyNow } from '../../../database/notify.ts'
import { uploadById } from '../reads.ts'
import { statusAt, type UploadRow } from '../rules.ts'
import { type KeptLease, type LeaseKeeper, leaseKeeper } from './lease-keeper.ts'
import { noWriter, receivable, takeLease } from './offsets.ts'

/*
 * Only one request at a time appends to an upload, whichever process it came to. Its lease is in the upload's row: who (writer),
 * until when, and the fence under which it commits. Who comes later asks for it (turn), and the writer is told: it stops
 * reading, keeps what arrived and frees the upload. A lease that somebody has asked for is not renewed: a writer that is dead,
 * or hangs, is taken over when it ends, and by then has itself ceased to write. On SQLite there is but one process, and no lease.
 */

/** So long a writer that gives no sign of life keeps others waiting. */
const LEASE_MS = 1700
const LOOK_MS = 50
/** Somewhat longer than any lease; then something else is wrong, and the client may come again. */
const PATIENCE_MS = 2500

export type WriteLease = {
  /** As takeLease answers it. */
  upload: UploadRow | null
  /** Whether it may still write. Nobody else begins before this is false, or the upload was let go. */
  isMine: () => boolean
  /** Lets the next one write, once whatever was given to append has ended. `latest`: the row as commitFinalOffset left it, if it did. */
  release: (latest: UploadRow | null) => Promise<void>
}

const keepers = new WeakMap<Db, LeaseKeeper>()

/** Leases on the uploads of `db` are renewed over `renewing`: a connection for which they need not stand in line with queries. */
export function renewLeasesOver(db: Db, renewing: Db): void {
  keepers.set(db, leaseKeeper(renewing, LEASE_MS))
}

function keeperOf(db: Db): LeaseKeeper | null {
  if (!isPostgres(db)) return null
  const keeper = keepers.get(db) ?? leaseKeeper(db, LEASE_MS)
  keepers.set(db, keeper)
  return keeper
}

/** Whether others might write to the uploads of this database. */
export const isShared = ({ db }: ServiceContext) => isPostgres(db)

/**
 * Makes the caller the only one who writes to this upload, in all processes; who wrote until now has ended by then. `stop` is
 * aborted when another wants to ('newer'), or the lease cannot be renewed ('lost'). Null where a newer request has come, or nobody makes way.
 */
export async function acquireWriteLease(
  ctx: ServiceContext,
  id: string,
  stop: AbortController,
): Promise<WriteLease | null> {
  const keeper = keeperOf(ctx.db)
  if (!keeper) return unshared(await takeLease(ctx, id))
  using ear = listen(id)
  const writer = randomUUID()
  let turn: number | null = null
  const end = performance.now() + PATIENCE_MS
  while (performance.now() < end) {
    const since = performance.now()
    const upload = await takeLease(ctx, id, { writer, leaseMs: LEASE_MS, turn })
    if (!upload || !isReceivable(ctx, upload)) return unshared(upload)
    const { turn: newest } = upload
    if (upload.writer === writer) {
      return held(ctx, upload, keeper.keep({ id, writer, turn: newest, stop, since }), stop)
    }
    if (stop.signal.aborted || (turn !== null && newest > turn)) return null
    turn ??= await askFor(ctx, id)
    await ear.news(LOOK_MS, stop.signal)
  }
  return null
}

/**
 * Ends whoever writes to this upload, and waits for that; the row as it is then. A newer request is not ended by this one. Null
 * where nobody makes way.
 */
export async function preemptWriter(
  ctx: ServiceContext,
  id: string,
  stop: AbortController,
): Promise<{ upload: UploadRow | null } | null> {
  let upload = await uploadById(ctx.db, id)
  if (!isHeld(ctx, upload)) return { upload }
  using ear = listen(id)
  const turn = await askFor(ctx, id)
  const end = performance.now() + PATIENCE_MS
  while (performance.now() < end) {
    upload = (await takeFromDead(ctx, id, turn)) ?? (await uploadById(ctx.db, id))
    if (!isHeld(ctx, upload) || upload?.turn !== turn || stop.signal.aborted) return { upload }
    await ear.news(LOOK_MS, stop.signal)
  }
  return null
}

const isReceivable = ({ now }: ServiceContext, upload: UploadRow) =>
  receivable.includes(statusAt(upload, now()))

const isHeld = (ctx: ServiceContext, upload: UploadRow | null) =>
  upload !== null && upload.writer !== null && isReceivable(ctx, upload)

/** The number of this request, before whose turn whoever writes now makes way; null where nobody does. */
async function askFor({ db }: ServiceContext, id: string): Promise<number | null> {
  const asked = await db
    .updateTable('uploads')
    .set((eb) => ({ turn: eb('turn', '+', 1) }))
    .where('id', '=', id)
    .where('writer', 'is not', null)
    .returning('turn')
    .executeTakeFirst()
  if (asked) await notifyNow(db, id)
  return asked?.turn ?? null
}

/** Where the lease has ended: whoever had it commits no more. */
async function takeFromDead({ db }: ServiceContext, id: string, turn: number | null) {
  const taken = await db
    .updateTable('uploads')
    .set((eb) => ({ ...noWriter, fence: eb('fence', '+', 1) }))
    .where('id', '=', id)
    .where('turn', '=', turn)
    .where('writerUntil', '<=', databaseNowPlus(0))
    .returningAll()
    .executeTakeFirst()
  return taken ?? null
}

const unshared = (upload: UploadRow | null): WriteLease => ({
  upload,
  isMine: () => true,
  async release() {},
})

function held(
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
      const isFree = latest?.id === id && latest.writer !== writer
      const letGo = async () => {
        if (!isFree) await free(db, id, writer)
        if (stop.signal.aborted) await notifyNow(db, id)
      }
      // What cannot be let go now is let go when the lease ends.
      await letGo().catch(() => {})
    },
  }
}

const free = (db: Db, id: string, writer: string | null) =>
  db
    .updateTable('uploads')
    .set(noWriter)
    .where('id', '=', id)
    .where('writer', '=', writer)
    .execute()
