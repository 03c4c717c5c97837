import { setTimeout as sleep } from 'node:timers/promises'
import { keepLease } from '../../../concurrency/lease.ts'
import type { ServiceContext, TxContext } from '../../../context.ts'
import { leaseEnd, leaseNow } from '../../../database/clock.ts'
import { prepared } from '../../../database/query/prepared.ts'
import { InvalidState } from '../../../errors/entries.ts'
import { UploadExpired, UploadIncomplete } from '../../../errors/uploads.ts'
import { checkDescription } from '../../entries/rules.ts'
import { requireOwnUpload, uploadById } from '../reads.ts'
import { syncPresigned } from '../receive/presigned.ts'
import {
  checkConfirmedSize,
  checkSha256,
  fatalMismatch,
  isPartial,
  missingBytes,
  statusAt,
  type UploadRow,
} from '../rules.ts'
import { isAwaitingConfirm } from './pending-confirms.ts'

/** Duration of a confirm lease by the clock of database/clock.ts. The confirming process renews the lease. */
const LEASE_TTL_MS = 5_000
/**
 * After this time the response is an upload with status PROCESSING, and the confirm continues in the
 * background.
 */
const CONFIRM_TIMEOUT_MS = 25_000

/** Returns a signal that aborts when a request has waited long enough for a confirm. */
export const defaultTimeout = () => AbortSignal.timeout(CONFIRM_TIMEOUT_MS)

type Expected = {
  uploadId: string
  size?: number | null | undefined
  sha256?: string | null | undefined
  comment?: string | null | undefined
}
/**
 * With `mine`, an upload that the caller has claimed and must confirm. Without it, an upload that is
 * COMPLETE, or that another request was still confirming at the deadline.
 */
export type Claim = { upload: UploadRow; mine: boolean }

/**
 * Claims an upload for a confirm, waiting while another request confirms it. Throws the errors that
 * confirmUpload reports before it reads any bytes.
 */
export async function claimUpload(
  ctx: ServiceContext,
  expected: Expected,
  deadline: AbortSignal,
): Promise<Claim> {
  if (expected.sha256 != null) checkSha256(expected.sha256)
  checkDescription(expected.comment ?? '', ['comment'])
  const own = await requireOwnUpload(ctx.db, ctx.viewer, expected.uploadId)
  let upload = await syncPresigned(ctx, own)
  for (let pauseMs = 10; upload.status !== 'COMPLETE'; pauseMs = Math.min(2 * pauseMs, 200)) {
    // If another request is confirming the upload, wait for its result.
    if (!(await isBeingConfirmed(ctx, upload))) {
      assertConfirmable(upload, expected, ctx.now())
      const claimed = await claim(ctx, upload.id)
      if (claimed) return { upload: claimed, mine: true }
    }
    if (deadline.aborted) break
    await sleep(pauseMs)
    upload = (await uploadById(ctx.db, upload.id)) ?? upload
  }
  return { upload, mine: false }
}

/** Returns whether a running process is confirming this upload. */
export async function isBeingConfirmed(
  { db, now }: ServiceContext,
  upload: UploadRow,
): Promise<boolean> {
  if (upload.status !== 'PROCESSING') return false
  return (await leasedAmong(db, [upload.id], now())).length > 0
}

/** Returns the ids of the uploads whose confirm holds an unexpired lease. */
export const leasedAmong = prepared((db, ids: readonly string[], now: number) =>
  db
    .selectFrom('uploads')
    .select('id')
    .where('id', 'in', ids)
    .where('status', '=', 'PROCESSING')
    .where('leaseUntil', '>', leaseNow(db, now)),
)

function assertConfirmable(upload: UploadRow, expected: Expected, now: number) {
  const status = statusAt(upload, now)
  if (isPartial(upload))
    throw new InvalidState(
      'PARTIAL',
      'a partial upload cannot be confirmed; confirm its final upload',
    )
  if (status === 'EXPIRED') throw new UploadExpired(upload.expiresAt)
  if (status === 'FAILED')
    throw fatalMismatch(upload) ?? new InvalidState(status, 'the upload has failed')
  if (status === 'CANCELED') throw new InvalidState(status, 'the upload was canceled')
  if (status === 'CREATED' || status === 'RECEIVING') {
    throw new UploadIncomplete({ uploadId: upload.id, missingBytes: missingBytes(upload) })
  }
  checkConfirmedSize(upload, expected.size)
}

/**
 * Claims an upload, also after its last confirm died. Returns null if it cannot be claimed: only one of
 * several concurrent requests succeeds.
 */
async function claim({ db, now }: ServiceContext, id: string): Promise<UploadRow | null> {
  const [claimed] = await claimRow(db, id, now())
  return claimed ?? null
}

/**
 * A claim need not survive a power loss, because that also ends the confirm: the upload is then RECEIVED
 * again.
 */
const claimRow = prepared(
  (db, id: string, now: number) =>
    db
      .updateTable('uploads')
      .set((eb) => ({
        status: 'PROCESSING',
        fence: eb('fence', '+', 1),
        leaseUntil: leaseEnd(db, now, LEASE_TTL_MS),
        confirmJob: null,
      }))
      .where('id', '=', id)
      .where((eb) =>
        eb.or([
          isAwaitingConfirm,
          eb.and([eb('status', '=', 'RECEIVED'), eb('expiresAt', '>', now)]),
          eb.and([eb('status', '=', 'PROCESSING'), eb('leaseUntil', '<=', leaseNow(db, now))]),
        ]),
      )
      .returningAll(),
  { skipSync: true },
)

/**
 * Claims an upload that a dead process left PROCESSING. Returns no rows if another process is confirming it.
 */
export const reclaim = ({ tx, now }: TxContext, { id, fence }: UploadRow): Promise<UploadRow[]> =>
  tx
    .updateTable('uploads')
    .set({ fence: fence + 1, leaseUntil: leaseEnd(tx, now(), LEASE_TTL_MS) })
    .where('id', '=', id)
    .where('fence', '=', fence)
    .where('status', '=', 'PROCESSING')
    .where('leaseUntil', '<=', leaseNow(tx, now()))
    .returningAll()
    .execute()

/** Renews the lease of a claimed upload until the result is disposed. */
export const keepConfirmLease = (
  { db, now }: ServiceContext,
  { id, fence }: UploadRow,
): Disposable =>
  keepLease(LEASE_TTL_MS / 3, () =>
    db
      .updateTable('uploads')
      .set({ leaseUntil: leaseEnd(db, now(), LEASE_TTL_MS) })
      .where('id', '=', id)
      .where('fence', '=', fence)
      .where('status', '=', 'PROCESSING')
      .execute(),
  )
