import {
  inBatchedTransaction,
  inLockedTransaction,
  type ServiceContext,
  type TxContext,
} from '../../context.ts'
import { InvalidInput } from '../../errors/input.ts'
import { record } from '../activity/writes.ts'
import { checkName } from '../entries/rules.ts'
import { resolveNameConflict, toWrite } from '../entries/writes.ts'
import { memberWorkspaces, requireAccess } from '../workspaces/reads.ts'
import { reserve } from '../workspaces/writes.ts'
import { enqueueConfirm } from './confirm/pending-confirms.ts'
import { checkUploadLimits } from './create/limits.ts'
import { findTarget, requireTarget, requireVersioned, targetPath } from './create/targets.ts'
import { createUploadRow, type NewUpload, type NewUploadRow } from './create/upload-row.ts'
import { liveFileOf } from './reads.ts'
import {
  checkIdempotencyKey,
  hasPendingConfirm,
  isTerminal,
  statusAt,
  type UploadRow,
} from './rules.ts'
import { terminateUpload } from './terminate.ts'

const IDEMPOTENCY_TTL_MS = 24 * 3_600_000

/**
 * Creates an upload: checks role, name, folder, size, quota and the limits of the user, reserves the space,
 * inserts the row and stages the blob. Requires role EDITOR and scope FILES_WRITE. Throws NotFound,
 * Forbidden, InvalidInput, NameConflict, FileTooLarge, QuotaExceeded, RateLimited, StorageError, and
 * InvalidState for a folder in the trash.
 */
export async function createUpload(ctx: ServiceContext, input: NewUpload): Promise<UploadRow> {
  const own = await memberWorkspaces(ctx.db, ctx.viewer, [input.workspaceId])
  const upload = await inBatchedTransaction(ctx, own, (s) => prepareUpload(s, input))
  await stageUpload(ctx, upload)
  return upload
}

/**
 * Inserts the row of a new upload in the transaction of the caller and returns it, or returns the existing
 * upload with the same idempotency key. The caller must call stageUpload after the commit.
 */
export async function prepareUpload(s: TxContext, input: NewUpload): Promise<UploadRow> {
  const { autoFile } = await requireAccess(s.tx, s.viewer, input.workspaceId, toWrite)
  if (input.transport === 'FORM') {
    throw new InvalidInput({
      path: ['transport'],
      message: 'transport FORM is only valid for POST /files',
    })
  }
  return (
    (await findByIdempotencyKey(s, input)) ??
    insertUpload(s, createUploadRow(s, input, autoFile === 1))
  )
}

/**
 * Returns whether no byte has arrived. The blob of such an upload may be missing after a crash; a request
 * with the same idempotency key stages it again.
 */
export const isUntouched = ({ offset, status }: UploadRow) => offset === 0 && !isTerminal(status)

/** Creates the staged blob of an upload. If that fails, cancels the upload and rethrows. */
export async function stageUpload(ctx: ServiceContext, upload: UploadRow): Promise<void> {
  if (!isUntouched(upload)) return
  try {
    await ctx.blobs.stage(upload.id, upload.size)
  } catch (error) {
    await inLockedTransaction(ctx, [upload.workspaceId], (s) =>
      terminateUpload(s, { id: upload.id }, 'CANCELED', { idempotencyKey: null }),
    )
    throw error
  }
}

async function findByIdempotencyKey(s: TxContext, input: NewUpload): Promise<UploadRow | null> {
  if (input.idempotencyKey == null) return null
  const upload = await s.tx
    .selectFrom('uploads')
    .selectAll()
    .where('workspaceId', '=', input.workspaceId)
    .where('createdBy', '=', s.viewer?.userId ?? '')
    .where('idempotencyKey', '=', checkIdempotencyKey(input.idempotencyKey))
    .executeTakeFirst()
  if (!upload || (await isRepeatable(s, upload))) return upload ?? null
  await s.tx
    .updateTable('uploads')
    .set({ idempotencyKey: null })
    .where('id', '=', upload.id)
    .execute()
  return null
}

/**
 * Returns whether a repeated request gets this upload. If it has ended without a file, or its file was
 * trashed or purged since, the client has nothing left to do with it and wants a new one.
 */
async function isRepeatable({ tx, now }: TxContext, upload: UploadRow): Promise<boolean> {
  if (upload.createdAt <= now() - IDEMPOTENCY_TTL_MS) return false
  const status = statusAt(upload, now())
  if (status !== 'COMPLETE') return !isTerminal(status)
  // The upload of an imported archive is complete without a file.
  return upload.fileId === null || (await liveFileOf(tx, upload)) !== null
}

/**
 * Checks a new upload against its target, the limits and the quota, reserves its space and inserts its row.
 */
export async function insertUpload(s: TxContext, draft: NewUploadRow): Promise<UploadRow> {
  const { id, workspaceId, createdBy, name, size, versionOf, reservedBytes } = draft
  const target = await requireTarget(s, draft)
  if (versionOf) await requireVersioned(s, { workspaceId, versionOf })
  else {
    const folder = await findTarget(s, target)
    if (folder && draft.onConflict === 'FAIL')
      await resolveNameConflict(s, folder, checkName(name), 'FAIL')
  }
  await checkUploadLimits(s, createdBy, reservedBytes)
  await reserve(s, workspaceId, reservedBytes)
  if (draft.concat !== 'partial') {
    const path = targetPath(target, name)
    const details = { uploadId: id, size }
    await record(s, { workspaceId, action: 'UPLOAD_CREATED', path, details })
  }
  const upload = await s.tx
    .insertInto('uploads')
    .values(draft)
    .returningAll()
    .executeTakeFirstOrThrow()
  if (hasPendingConfirm(upload)) await enqueueConfirm(s, id)
  return upload
}
