import type { Readable } from 'node:stream'
import { sql } from 'kysely'
import type { AppendOptions } from '../../../blobs/blob-store.ts'
import { inTransaction, type ServiceContext, type TxContext } from '../../../context.ts'
import { databaseNowPlus } from '../../../database/clock.ts'
import type { Db } from '../../../database/database.ts'
import { prepared } from '../../../database/query/prepared.ts'
import { StorageError } from '../../../errors.ts'
import { release, reserve } from '../../workspaces/writes.ts'
import { enqueueConfirm } from '../confirm/pending-confirms.ts'
import { checkByteLimits } from '../create/limits.ts'
import { uploadById } from '../reads.ts'
import type { UploadRow } from '../rules.ts'
import { checkSize, receivedStatus, statusesBefore } from '../rules.ts'

/** What bytes may still be added to: a RECEIVED upload has all of its own. */
export const receivable = statusesBefore('RECEIVING').concat('RECEIVING')

/**
 * blobs.append to an upload, behind what it has. Where its process died between row and stage the first byte finds no place: it is
 * made then. Nothing of the source was read by that time, so nothing of it is lost.
 */
export async function appendTo(
  { db, blobs }: ServiceContext,
  { id, offset, size }: UploadRow,
  source: Readable,
  options: AppendOptions,
): Promise<number> {
  const append = () => blobs.append(id, offset, source, options)
  return append().catch(async (error) => {
    if (!(error instanceof StorageError) || offset > 0 || source.readableDidRead) throw error
    const upload = await uploadById(db, id)
    if (!upload || !receivable.includes(upload.status)) throw error
    await blobs.stage(id, size)
    return append()
  })
}

/** Who writes, where several processes may: a name that is nobody else's, for so long; in its turn only, where it has one. */
export type Writer = { writer: string; leaseMs: number; turn: number | null }

/**
 * Makes the caller the one who writes to this upload: its row with a new fence, which commitOffset and declareLength ask for.
 * The row as it stands where nothing is to be written any more, or another `writer` has it; null where there is none.
 */
export async function takeLease(
  { db, now }: ServiceContext,
  id: string,
  as: Writer | null = null,
): Promise<UploadRow | null> {
  const [leased] = await (as ? leaseAmong(db, id, now(), as) : fencedAnew(db, id, now()))
  return leased ?? uploadById(db, id)
}

/** After a loss of power nobody is there any more who had the old fence. */
const fencedAnew = prepared(
  (db, id: string, now: number) => toReceive(db, id, now).returningAll(),
  {
    skipSync: true,
  },
)

const leaseAmong = (db: Db, id: string, now: number, as: Writer) =>
  toReceive(db, id, now)
    .set(leaseFor(as))
    .where((eb) => eb.or([eb('writer', 'is', null), eb('writerUntil', '<=', databaseNowPlus(0))]))
    .$if(as.turn !== null, (q) => q.where('turn', '=', as.turn))
    .returningAll()
    .execute()

const toReceive = (db: Db, id: string, now: number) =>
  db
    .updateTable('uploads')
    .set((eb) => ({ fence: eb('fence', '+', 1) }))
    .where('id', '=', id)
    .where('status', 'in', receivable)
    .where('expiresAt', '>', now)

const leaseFor = ({ writer, leaseMs }: Writer) => ({
  writer,
  writerUntil: databaseNowPlus(leaseMs),
  turn: sql<number>`"turn" + 1`,
})

/**
 * Writes down that the first `offset` bytes are durable, and that the upload waits so much longer. Null where another request
 * has taken it over, or it was ended: then what `upload` says is no longer so. While the length is not known, room is
 * reserved for what arrived: QuotaExceeded, RateLimited.
 */
export async function commitOffset(
  ctx: ServiceContext,
  upload: UploadRow,
  offset: number,
): Promise<UploadRow | null> {
  return claimingRoom(ctx, upload, upload.size ?? offset, grown(ctx, upload, offset))
}

/** The same for the last time: from here on another may write. */
export async function commitFinalOffset(
  ctx: ServiceContext,
  upload: UploadRow,
  offset: number,
): Promise<UploadRow | null> {
  const change = { ...grown(ctx, upload, offset), ...noWriter }
  return claimingRoom(ctx, upload, upload.size ?? offset, change)
}

export const noWriter = { writer: null, writerUntil: null }

const grown = ({ now, limits }: ServiceContext, { size }: UploadRow, offset: number) => ({
  offset,
  status: receivedStatus(offset, size),
  expiresAt: now() + limits.uploadTtlMs,
})

/** The length of an upload that was created without one. Null as in commitOffset; FileTooLarge, QuotaExceeded, RateLimited. */
export async function declareLength(
  ctx: ServiceContext,
  upload: UploadRow,
  size: number,
): Promise<UploadRow | null> {
  checkSize(size, ctx.limits.maxUploadBytes)
  const status = receivedStatus(upload.offset, size)
  return claimingRoom(ctx, upload, size, { size, status })
}

type Change = Partial<
  Pick<UploadRow, 'offset' | 'status' | 'expiresAt' | 'size' | 'writer' | 'writerUntil'>
>

/**
 * Changes the row under its fence, with room for `neededBytes` in all; one statement where that is reserved already. The transaction
 * that says that all bytes are there also enqueues the confirm that they were to bring about.
 */
function claimingRoom(ctx: ServiceContext, upload: UploadRow, neededBytes: number, change: Change) {
  const more = Math.max(0, neededBytes - upload.reservedBytes)
  const isToConfirm = change.status === 'RECEIVED' && upload.autoConfirm === 1
  if (more === 0 && !isToConfirm) return underFence(ctx.db, upload, change)
  return inTransaction(ctx, async (s) => {
    const changed = await withRoom(s, upload, more, change)
    if (changed && isToConfirm) await enqueueConfirm(s, upload.id)
    return changed
  })
}

async function withRoom(s: TxContext, upload: UploadRow, more: number, change: Change) {
  if (more === 0) return underFence(s.tx, upload, change)
  await reserve(s, upload.workspaceId, more)
  await checkByteLimits(s, upload.createdBy, more)
  const reservedBytes = upload.reservedBytes + more
  const changed = await underFence(s.tx, upload, { ...change, reservedBytes })
  if (!changed) await release(s, upload.workspaceId, more)
  return changed
}

async function underFence(
  db: ServiceContext['db'],
  { id, fence, offset }: UploadRow,
  change: Change & { reservedBytes?: number },
): Promise<UploadRow | null> {
  const changed = await db
    .updateTable('uploads')
    .set(change)
    .where('id', '=', id)
    .where('fence', '=', fence)
    .where('offset', '=', offset)
    .where('status', 'in', receivable)
    .returningAll()
    .executeTakeFirst()
  return changed ?? null
}
