import type { Scope } from '../../scope.ts'
import { inTransaction } from '../../scope.ts'
import { release, reserve } from '../workspaces/writes.ts'
import { uploadById } from './reads.ts'
import type { UploadRow } from './rules.ts'
import { checkSize, receivedStatus, statusesBefore } from './rules.ts'

/** What bytes may still be added to: a RECEIVED upload has all of its own. */
const receivable = statusesBefore('RECEIVING').concat('RECEIVING')

/**
 * Makes the caller the one who writes to this upload: its row with a new fence, which commitOffset and declareLength ask for.
 * The row as it stands where nothing is to be written any more; null where there is none.
 */
export async function takeLease({ db, now }: Scope, id: string): Promise<UploadRow | null> {
  const leased = await db
    .updateTable('uploads')
    .set((eb) => ({ fence: eb('fence', '+', 1) }))
    .where('id', '=', id)
    .where('status', 'in', receivable)
    .where('expiresAt', '>', now())
    .returningAll()
    .executeTakeFirst()
  return leased ?? uploadById(db, id)
}

/**
 * Writes down that the first `offset` bytes are durable, and that the upload waits so much longer. Null where another request
 * has taken it over, or it was ended: then what `upload` says is no longer so. While the length is not known, room is
 * reserved for what arrived: QuotaExceeded.
 */
export async function commitOffset(
  scope: Scope,
  upload: UploadRow,
  offset: number,
): Promise<UploadRow | null> {
  return claimingRoom(scope, upload, upload.size ?? offset, {
    offset,
    status: receivedStatus(offset, upload.size),
    expiresAt: scope.now() + scope.limits.uploadTtlMs,
  })
}

/** The length of an upload that was created without one. Null as in commitOffset; FileTooLarge, QuotaExceeded. */
export async function declareLength(
  scope: Scope,
  upload: UploadRow,
  size: number,
): Promise<UploadRow | null> {
  checkSize(size, scope.limits.maxUploadBytes)
  return claimingRoom(scope, upload, size, { size })
}

type Change = Partial<Pick<UploadRow, 'offset' | 'status' | 'expiresAt' | 'size'>>

/** Changes the row under its fence, with room for `neededBytes` in all; one statement where that is reserved already. */
function claimingRoom(scope: Scope, upload: UploadRow, neededBytes: number, change: Change) {
  const more = Math.max(0, neededBytes - upload.reservedBytes)
  if (more === 0) return underFence(scope.db, upload, change)
  return inTransaction(scope, async (s) => {
    await reserve(s, upload.workspaceId, more)
    const reservedBytes = upload.reservedBytes + more
    const changed = await underFence(s.tx, upload, { ...change, reservedBytes })
    if (!changed) await release(s, upload.workspaceId, more)
    return changed
  })
}

async function underFence(
  db: Scope['db'],
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
