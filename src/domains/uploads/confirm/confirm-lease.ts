import { setTimeout as sleep } from 'node:timers/promises'
import type { ServiceContext, TxContext } from '../../../context.ts'
import { leaseEnd, leaseNow } from '../../../database/clock.ts'
import { prepared } from '../../../database/query/prepared.ts'
import { InvalidState, UploadExpired, UploadIncomplete } from '../../../errors.ts'
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

/** The lease of a confirm, by the clock of database/clock.ts; a process that lives renews it. */
const LEASE_MS = 5_000
/** So long a request waits for the outcome; then it is answered PROCESSING, and the work goes on. */
const PATIENCE_MS = 25_000

export const defaultTimeout = () => AbortSignal.timeout(PATIENCE_MS)

/** `work`, or `meanwhile` once patience is over; the work goes on. */
export const withDeadline = <T>(
  patience: AbortSignal,
  work: Promise<T>,
  meanwhile: T,
): Promise<T> =>
  Promise.race([
    work,
    new Promise<T>((resolve) => {
      patience.addEventListener('abort', () => resolve(meanwhile), { once: true })
    }),
  ])

type Expected = {
  uploadId: string
  size?: number | null | undefined
  sha256?: string | null | undefined
  comment?: string | null | undefined
}
/** An upload to make a file of, when it is `mine`; else one that is COMPLETE, or PROCESSING still when patience was over. */
export type Claim = { upload: UploadRow; mine: boolean }

/** Waits for whoever else confirms it. Throws what confirmUpload refuses before it begins. */
export async function claimUpload(
  ctx: ServiceContext,
  expected: Expected,
  patience: AbortSignal,
): Promise<Claim> {
  if (expected.sha256 != null) checkSha256(expected.sha256)
  checkDescription(expected.comment ?? '', ['comment'])
  const own = await requireOwnUpload(ctx.db, ctx.viewer, expected.uploadId)
  let upload = await syncPresigned(ctx, own)
  for (let pauseMs = 10; upload.status !== 'COMPLETE'; pauseMs = Math.min(2 * pauseMs, 200)) {
    // While another request confirms, its result decides.
    if (!(await isBeingConfirmed(ctx, upload))) {
      refuseUnconfirmable(upload, expected, ctx.now())
      const claimed = await claim(ctx, upload.id)
      if (claimed) return { upload: claimed, mine: true }
    }
    if (patience.aborted) break
    await sleep(pauseMs)
    upload = (await uploadById(ctx.db, upload.id)) ?? upload
  }
  return { upload, mine: false }
}

/** Whether a process that lives is confirming this upload. */
export async function isBeingConfirmed(
  { db, now }: ServiceContext,
  upload: UploadRow,
): Promise<boolean> {
  if (upload.status !== 'PROCESSING') return false
  return (await leasedAmong(db, [upload.id], now())).length > 0
}

/** Those of the uploads whose confirm holds a lease that has not ended. */
export const leasedAmong = prepared((db, ids: readonly string[], now: number) =>
  db
    .selectFrom('uploads')
    .select('id')
    .where('id', 'in', ids)
    .where('status', '=', 'PROCESSING')
    .where('leaseUntil', '>', leaseNow(db, now)),
)

function refuseUnconfirmable(upload: UploadRow, expected: Expected, now: number) {
  const status = statusAt(upload, now)
  if (isPartial(upload)) throw new InvalidState('PARTIAL', 'it becomes a file as part of another')
  if (status === 'EXPIRED') throw new UploadExpired(upload.expiresAt)
  if (status === 'FAILED') throw fatalMismatch(upload) ?? new InvalidState(status, 'it has failed')
  if (status === 'CANCELED') throw new InvalidState(status, 'the upload was cancelled')
  if (status === 'CREATED' || status === 'RECEIVING') {
    throw new UploadIncomplete({ uploadId: upload.id, missingBytes: missingBytes(upload) })
  }
  checkConfirmedSize(upload, expected.size)
}

/** Of any number who ask at the same moment, one gets the row; also where the last one died over it. */
async function claim({ db, now }: ServiceContext, id: string): Promise<UploadRow | null> {
  const [claimed] = await claimRow(db, id, now())
  return claimed ?? null
}

/** A loss of power ends the work as well: then the upload is RECEIVED as it was. */
const claimRow = prepared(
  (db, id: string, now: number) =>
    db
      .updateTable('uploads')
      .set((eb) => ({
        status: 'PROCESSING',
        fence: eb('fence', '+', 1),
        leaseUntil: leaseEnd(db, now, LEASE_MS),
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

/** Claims once more what its process left PROCESSING when it died; empty where somebody works on it. */
export const reclaim = ({ tx, now }: TxContext, { id, fence }: UploadRow): Promise<UploadRow[]> =>
  tx
    .updateTable('uploads')
    .set({ fence: fence + 1, leaseUntil: leaseEnd(tx, now(), LEASE_MS) })
    .where('id', '=', id)
    .where('fence', '=', fence)
    .where('status', '=', 'PROCESSING')
    .where('leaseUntil', '<=', leaseNow(tx, now()))
    .returningAll()
    .execute()

/** Renews the lease of a claimed upload until it is disposed. */
export function keepLease({ db, now }: ServiceContext, { id, fence }: UploadRow): Disposable {
  const renew = () =>
    db
      .updateTable('uploads')
      .set({ leaseUntil: leaseEnd(db, now(), LEASE_MS) })
      .where('id', '=', id)
      .where('fence', '=', fence)
      .where('status', '=', 'PROCESSING')
      .execute()
      // A lease that could not be renewed runs out: then the next confirm goes on from here.
      .catch(() => {})
  const timer = setInterval(renew, LEASE_MS / 3).unref()
  return { [Symbol.dispose]: () => clearInterval(timer) }
}
