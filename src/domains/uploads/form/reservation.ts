import { inTransaction, type ServiceContext, type TxContext } from '../../../context.ts'
import { InvalidState } from '../../../errors.ts'
import { requireUnrevoked } from '../../accounts/reads.ts'
import { toWrite } from '../../entries/writes.ts'
import { requireInputWorkspace } from '../../workspaces/reads.ts'
import { release, reserve } from '../../workspaces/writes.ts'
import { checkUploadLimits } from '../create/limits.ts'
import { createUploadRow } from '../create/upload-row.ts'
import type { UploadRow } from '../rules.ts'

/**
 * Reserves room for bytes that come by another way than an upload of their own: a row of an upload stands for them, counts among the
 * unfinished ones of its maker, and gives the room back when it expires. Throws NotFound, Forbidden, QuotaExceeded, RateLimited.
 */
export async function reserveRoom(
  s: TxContext,
  workspaceId: string,
  bytes: number,
): Promise<UploadRow> {
  await requireUnrevoked(s.tx, s.viewer)
  await requireInputWorkspace(s.tx, s.viewer, workspaceId, toWrite)
  await reserve(s, workspaceId, bytes)
  const draft = createUploadRow(s, { workspaceId, transport: 'FORM' }, false)
  await checkUploadLimits(s, draft.createdBy, bytes)
  return s.tx
    .insertInto('uploads')
    .values({ ...draft, reservedBytes: bytes })
    .returningAll()
    .executeTakeFirstOrThrow()
}

/** Gives the room back, for the bytes to be counted as used. Throws InvalidState where it was given back otherwise. */
export async function releaseReservation(
  s: TxContext,
  { id, fence, workspaceId, reservedBytes }: UploadRow,
): Promise<void> {
  const { numDeletedRows } = await s.tx
    .deleteFrom('uploads')
    .where('id', '=', id)
    .where('fence', '=', fence)
    .executeTakeFirst()
  if (numDeletedRows === 0n) throwReservationGone()
  await release(s, workspaceId, reservedBytes)
}

/** Gives the room back after a failure; what cannot be given back now is when it expires. */
export const dropReservation = (ctx: ServiceContext, held: UploadRow): Promise<void> =>
  inTransaction(ctx, (s) => releaseReservation(s, held)).catch(() => {})

/** Keeps the room from expiring while something works on what it is for. */
export function renewReservation(
  { db, now, limits }: ServiceContext,
  { id }: UploadRow,
): Disposable {
  const renew = () =>
    db
      .updateTable('uploads')
      .set({ expiresAt: now() + limits.uploadTtlMs })
      .where('id', '=', id)
      .execute()
      // The next time, then: there are several before it expires.
      .catch(() => {})
  const timer = setInterval(renew, Math.min(limits.uploadTtlMs / 4, MAX_PAUSE_MS)).unref()
  return { [Symbol.dispose]: () => clearInterval(timer) }
}
const MAX_PAUSE_MS = 600_000

/** Throws what is said of an upload that its user ended, or that expired. */
export function throwReservationGone(): never {
  throw new InvalidState('CANCELED', 'the upload was ended before its bytes were a file')
}
