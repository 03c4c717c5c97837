import type { Readable } from 'node:stream'
import { sql } from 'kysely'
import type { AppendOptions } from '../../../blobs/blob-store.ts'
import { inLockedTransaction, type ServiceContext, type TxContext } from '../../../context.ts'
import { databaseNowPlus } from '../../../database/clock.ts'
import type { Db } from '../../../database/database.ts'
import { prepared } from '../../../database/query/prepared.ts'
import { StorageError } from '../../../errors/availability.ts'
import { release, reserve } from '../../workspaces/writes.ts'
import { hastenConcat } from '../concat/concat-parts-job.ts'
import { enqueueConfirm } from '../confirm/pending-confirms.ts'
import { checkByteLimits } from '../create/limits.ts'
import { uploadById } from '../reads.ts'
import type { UploadRow } from '../rules.ts'
import { checkSize, receivedStatus, statusesBefore } from '../rules.ts'

/** Statuses in which an upload accepts bytes. */
export const receivable = statusesBefore('RECEIVING').concat('RECEIVING')

/**
 * Appends `source` to the bytes of an upload and returns the new offset. If the creating process died before
 * it staged the blob, stages the blob first; this is possible only while `source` has not been read. Throws
 * StorageError.
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

/**
 * A writer among several processes: a unique name, the duration of its lease, and the number of its request
 * if it made one.
 */
export type Writer = { writer: string; leaseMs: number; turn: number | null }

/**
 * Makes the caller the writer of an upload and returns the row with a new fence, which commitOffset and
 * declareLength require. Returns the row unchanged if it accepts no bytes or another writer holds the lease,
 * and null if the upload does not exist.
 */
export async function takeLease(
  { db, now }: ServiceContext,
  id: string,
  as: Writer | null = null,
): Promise<UploadRow | null> {
  const [leased] = await (as ? leaseForWriter(db, id, now(), as) : incrementFence(db, id, now()))
  return leased ?? uploadById(db, id)
}

/** The new fence need not survive a power loss, because no holder of the old fence survives it either. */
const incrementFence = prepared(
  (db, id: string, now: number) => receivableUpdate(db, id, now).returningAll(),
  {
    skipSync: true,
  },
)

const leaseForWriter = (db: Db, id: string, now: number, as: Writer) =>
  receivableUpdate(db, id, now)
    .set(writerColumns(as))
    .where((eb) => eb.or([eb('writer', 'is', null), eb('writerUntil', '<=', databaseNowPlus(0))]))
    .$if(as.turn !== null, (q) => q.where('turn', '=', as.turn))
    .returningAll()
    .execute()

const receivableUpdate = (db: Db, id: string, now: number) =>
  db
    .updateTable('uploads')
    .set((eb) => ({ fence: eb('fence', '+', 1) }))
    .where('id', '=', id)
    .where('status', 'in', receivable)
    .where((eb) => eb.or([eb('expiresAt', '>', now), eb('joinedInto', 'is not', null)]))

const writerColumns = ({ writer, leaseMs }: Writer) => ({
  writer,
  writerUntil: databaseNowPlus(leaseMs),
  turn: sql<number>`"turn" + 1`,
})

/**
 * Records that the first `offset` bytes are durable and extends the expiry of the upload. Returns the new
 * row, or null if another request has taken over the upload or it has ended. While the length is deferred,
 * reserves space for the received bytes and throws QuotaExceeded or RateLimited if there is none.
 */
export async function commitOffset(
  ctx: ServiceContext,
  upload: UploadRow,
  offset: number,
): Promise<UploadRow | null> {
  const change = progressOf(ctx, upload, offset)
  return recordProgress(ctx, upload, change)
}

/** Records the offset like commitOffset, and releases the lease of the writer in the same statement. */
export async function commitFinalOffset(
  ctx: ServiceContext,
  upload: UploadRow,
  offset: number,
): Promise<UploadRow | null> {
  const change = { ...progressOf(ctx, upload, offset), ...noWriter }
  return recordProgress(ctx, upload, change)
}

async function recordProgress(
  ctx: ServiceContext,
  upload: UploadRow,
  change: ReturnType<typeof progressOf>,
) {
  const neededBytes = upload.size ?? change.offset
  const changed = await updateWithReservation(ctx, upload, neededBytes, change)
  if (changed?.joinedInto) await continueFinal(ctx, changed.joinedInto, changed)
  return changed
}

/** Keeps the final upload of a part alive, and starts its concatenation once the part is complete. */
async function continueFinal({ db }: ServiceContext, id: string, part: UploadRow) {
  await db
    .updateTable('uploads')
    .set({ expiresAt: part.expiresAt })
    .where('id', '=', id)
    .where('status', 'in', receivable)
    .execute()
  if (part.status === 'RECEIVED') await hastenConcat(db, id)
}

export const noWriter = { writer: null, writerUntil: null }

const progressOf = ({ now, limits }: ServiceContext, { size }: UploadRow, offset: number) => ({
  offset,
  status: receivedStatus(offset, size),
  expiresAt: now() + limits.uploadTtlMs,
})

/**
 * Sets the length of an upload with a deferred length. Returns the new row, or null like commitOffset. Throws
 * FileTooLarge, QuotaExceeded, RateLimited.
 */
export async function declareLength(
  ctx: ServiceContext,
  upload: UploadRow,
  size: number,
): Promise<UploadRow | null> {
  checkSize(size, ctx.limits.maxUploadBytes)
  const status = receivedStatus(upload.offset, size)
  return updateWithReservation(ctx, upload, size, { size, status })
}

type Change = Partial<
  Pick<UploadRow, 'offset' | 'status' | 'expiresAt' | 'size' | 'writer' | 'writerUntil'>
>

/**
 * Updates the row under its fence with `neededBytes` reserved in total. Uses one statement if they are
 * already reserved. The transaction that makes the upload RECEIVED also enqueues its automatic confirm.
 */
function updateWithReservation(
  ctx: ServiceContext,
  upload: UploadRow,
  neededBytes: number,
  change: Change,
) {
  // The space of a part that belongs to a final upload is reserved by that one.
  const extraBytes = upload.joinedInto ? 0 : Math.max(0, neededBytes - upload.reservedBytes)
  const isConfirmDue = change.status === 'RECEIVED' && upload.autoConfirm === 1
  if (extraBytes === 0 && !isConfirmDue) return updateUnderFence(ctx.db, upload, change)
  const workspaceIds = extraBytes > 0 ? [upload.workspaceId] : []
  return inLockedTransaction(ctx, workspaceIds, async (s) => {
    const changed = await reserveAndUpdate(s, upload, extraBytes, change)
    if (changed && isConfirmDue) await enqueueConfirm(s, upload.id)
    return changed
  })
}

async function reserveAndUpdate(
  s: TxContext,
  upload: UploadRow,
  extraBytes: number,
  change: Change,
) {
  if (extraBytes === 0) return updateUnderFence(s.tx, upload, change)
  const isSizeKnown = (change.size ?? upload.size) !== null
  const { workspaceId, reservedBytes: before } = upload
  await reserve(s, workspaceId, extraBytes, { reservedBytes: before, isSizeKnown })
  await checkByteLimits(s, upload.createdBy, extraBytes)
  const reservedBytes = upload.reservedBytes + extraBytes
  const changed = await updateUnderFence(s.tx, upload, { ...change, reservedBytes })
  if (!changed) await release(s, upload.workspaceId, extraBytes)
  return changed
}

async function updateUnderFence(
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
