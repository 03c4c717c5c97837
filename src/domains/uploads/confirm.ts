import { setTimeout as sleep } from 'node:timers/promises'
import { ChecksumMismatch, InvalidState, UploadExpired, UploadIncomplete } from '../../errors.ts'
import type { Scope } from '../../scope.ts'
import type { RowLink } from '../tables/links.ts'
import { giveBack } from './failures.ts'
import { contentOf, publish } from './publish.ts'
import { requireOwnUpload, uploadById } from './reads.ts'
import {
  checkConfirmedSize,
  checkSha256,
  fatalMismatch,
  missingBytes,
  statusAt,
  type UploadRow,
} from './rules.ts'

export type ConfirmUpload = {
  uploadId: string
  /** What the client believes it has sent; checked beside what createUpload was told. */
  size?: number | null | undefined
  sha256?: string | null | undefined
  /** Of the version. */
  comment?: string | null | undefined
  /** A row of a linked table that comes with the file or not at all; of the confirm that makes the file, and no later one. */
  linkRow?: RowLink | null | undefined
}

/** A confirm that died is taken up by the next one after so long; one that lives renews its lease. */
const LEASE_MS = 5_000
/** So long a request waits for the outcome; then it is answered PROCESSING, and the work goes on. */
const PATIENCE_MS = 25_000

/**
 * Makes the file (or version) of an upload whose bytes are all there; the row says PROCESSING where that takes long. Safe to
 * repeat: one confirms, the others wait for what comes of it, and whoever comes later gets the same answer. The viewer's own
 * uploads; EDITOR, scope FILES_WRITE. Throws NotFound, Forbidden, UploadIncomplete, UploadExpired, InvalidState, SizeMismatch,
 * ChecksumMismatch, NameConflict, QuotaExceeded, StorageFault.
 */
export async function confirmUpload(scope: Scope, input: ConfirmUpload): Promise<UploadRow> {
  if (input.sha256 != null) checkSha256(input.sha256)
  const patience = AbortSignal.timeout(PATIENCE_MS)
  let upload = await requireOwnUpload(scope.db, scope.viewer, input.uploadId)
  for (let pauseMs = 10; upload.status !== 'COMPLETE'; pauseMs = Math.min(2 * pauseMs, 200)) {
    refuseUnconfirmable(upload, input, scope.now())
    const claimed = await claim(scope, upload.id)
    if (claimed) return Promise.race([finish(scope, claimed, input), outOf(patience, claimed)])
    if (patience.aborted) return upload
    await sleep(pauseMs)
    upload = (await uploadById(scope.db, upload.id)) ?? upload
  }
  return upload
}

function refuseUnconfirmable(upload: UploadRow, input: ConfirmUpload, now: number) {
  const status = statusAt(upload, now)
  if (status === 'EXPIRED') throw new UploadExpired(upload.expiresAt)
  if (status === 'FAILED') throw fatalMismatch(upload) ?? new InvalidState(status, 'it has failed')
  if (status === 'CANCELED') throw new InvalidState(status, 'the upload was cancelled')
  if (status === 'CREATED' || status === 'RECEIVING') {
    throw new UploadIncomplete({ uploadId: upload.id, missingBytes: missingBytes(upload) })
  }
  checkConfirmedSize(upload, input.size)
}

const outOf = (patience: AbortSignal, upload: UploadRow) =>
  new Promise<UploadRow>((resolve) => {
    patience.addEventListener('abort', () => resolve(upload), { once: true })
  })

/** Of any number who ask at the same moment, one gets the row; also where the last one died over it. */
async function claim({ db, now }: Scope, id: string): Promise<UploadRow | null> {
  const claimed = await db
    .updateTable('uploads')
    .set((eb) => ({
      status: 'PROCESSING',
      fence: eb('fence', '+', 1),
      leaseUntil: now() + LEASE_MS,
    }))
    .where('id', '=', id)
    .where((eb) =>
      eb.or([
        eb.and([eb('status', '=', 'RECEIVED'), eb('expiresAt', '>', now())]),
        eb.and([eb('status', '=', 'PROCESSING'), eb('leaseUntil', '<=', now())]),
      ]),
    )
    .returningAll()
    .executeTakeFirst()
  return claimed ?? null
}

async function finish(scope: Scope, claimed: UploadRow, input: ConfirmUpload): Promise<UploadRow> {
  using _ = keepLease(scope, claimed)
  try {
    const content = await contentOf(scope, claimed)
    checkHash(claimed.sha256, content.sha256)
    checkHash(input.sha256, content.sha256)
    // Bytes first, rows second: what dies in between is adopted again, and never a row without bytes.
    await scope.blobs.adopt(claimed.id)
    return await publish(scope, claimed, content, input)
  } catch (error) {
    await giveBack(scope, claimed, error)
    throw error
  }
}

function checkHash(expected: string | null | undefined, actual: string) {
  if (expected == null || expected === actual) return
  throw new ChecksumMismatch({ expected, actual }).at('sha256')
}

function keepLease({ db, now }: Scope, { id, fence }: UploadRow) {
  const renew = () =>
    db
      .updateTable('uploads')
      .set({ leaseUntil: now() + LEASE_MS })
      .where('id', '=', id)
      .where('fence', '=', fence)
      .where('status', '=', 'PROCESSING')
      .execute()
      // A lease that could not be renewed runs out: then the next confirm goes on from here.
      .catch(() => {})
  const timer = setInterval(renew, LEASE_MS / 3).unref()
  return { [Symbol.dispose]: () => clearInterval(timer) }
}
