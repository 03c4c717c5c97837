import { keepLease } from '../../../concurrency/lease.ts'
import { inLockedTransaction, type ServiceContext, type TxContext } from '../../../context.ts'
import { InvalidState } from '../../../errors/entries.ts'
import { requireUnrevoked } from '../../accounts/reads.ts'
import { toWrite } from '../../entries/writes.ts'
import { requireInputWorkspace } from '../../workspaces/reads.ts'
import { release, reserve } from '../../workspaces/writes.ts'
import { checkUploadLimits } from '../create/limits.ts'
import { createUploadRow } from '../create/upload-row.ts'
import type { UploadRow } from '../rules.ts'

/**
 * Reserves `bytes` bytes for data that does not arrive through an upload of its own. Inserts an upload row,
 * which counts as an unfinished upload of the viewer; when it expires, the space is released. Throws
 * NotFound, Forbidden, QuotaExceeded, RateLimited.
 */
export async function createReservation(
  ctx: TxContext,
  workspaceId: string,
  bytes: number,
): Promise<UploadRow> {
  await requireUnrevoked(ctx.tx, ctx.viewer)
  await requireInputWorkspace(ctx.tx, ctx.viewer, workspaceId, toWrite)
  await reserve(ctx, workspaceId, bytes, { isSizeKnown: false })
  const draft = createUploadRow(ctx, { workspaceId, transport: 'FORM' }, false)
  await checkUploadLimits(ctx, draft.createdBy, bytes)
  return ctx.tx
    .insertInto('uploads')
    .values({ ...draft, reservedBytes: bytes })
    .returningAll()
    .executeTakeFirstOrThrow()
}

/**
 * Deletes a reservation, so that its bytes can be counted as used. Throws InvalidState if it was canceled or
 * has expired.
 */
export async function releaseReservation(
  ctx: TxContext,
  { id, fence, workspaceId, reservedBytes }: UploadRow,
): Promise<void> {
  const { numDeletedRows } = await ctx.tx
    .deleteFrom('uploads')
    .where('id', '=', id)
    .where('fence', '=', fence)
    .executeTakeFirst()
  if (numDeletedRows === 0n) throwReservationEnded()
  await release(ctx, workspaceId, reservedBytes)
}

/**
 * Releases the space of a reservation above `bytes` bytes and returns its row. Throws InvalidState if it was
 * canceled or has expired.
 */
export async function shrinkReservation(
  ctx: TxContext,
  { id, fence, workspaceId, reservedBytes }: UploadRow,
  bytes: number,
): Promise<UploadRow> {
  const shrunk = await ctx.tx
    .updateTable('uploads')
    .set({ reservedBytes: bytes })
    .where('id', '=', id)
    .where('fence', '=', fence)
    .returningAll()
    .executeTakeFirst()
  if (!shrunk) throwReservationEnded()
  await release(ctx, workspaceId, reservedBytes - bytes)
  return shrunk
}

/**
 * Releases a reservation after a failure. If that fails too, the space is released when the reservation
 * expires.
 */
export const dropReservation = (ctx: ServiceContext, reservation: UploadRow): Promise<void> =>
  inLockedTransaction(ctx, [reservation.workspaceId], (s) =>
    releaseReservation(s, reservation),
  ).catch(() => {})

/** Periodically extends the expiry of a reservation until the result is disposed. */
export const renewReservation = (
  { db, now, limits }: ServiceContext,
  { id }: UploadRow,
): Disposable =>
  keepLease(Math.min(limits.uploadTtlMs / 4, MAX_RENEW_INTERVAL_MS), () =>
    db
      .updateTable('uploads')
      .set({ expiresAt: now() + limits.uploadTtlMs })
      .where('id', '=', id)
      .execute(),
  )
const MAX_RENEW_INTERVAL_MS = 600_000

/** Throws InvalidState for a reservation that was canceled or has expired. */
export function throwReservationEnded(): never {
  throw new InvalidState('CANCELED', 'the upload was canceled or has expired')
}
