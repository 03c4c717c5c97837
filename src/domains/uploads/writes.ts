import {
  inBatchedTransaction,
  inTransaction,
  type ServiceContext,
  type TxContext,
} from '../../context.ts'
import { lockWorkspace } from '../../database/transaction.ts'
import { InvalidInput } from '../../errors.ts'
import { record } from '../activity/writes.ts'
import { checkName } from '../entries/rules.ts'
import { toWrite } from '../entries/writes.ts'
import { requireAccess } from '../workspaces/reads.ts'
import { reserve } from '../workspaces/writes.ts'
import { enqueueConfirm } from './confirm/pending-confirms.ts'
import { checkUploadLimits } from './create/limits.ts'
import { requireFreeName, requireTarget, requireVersioned, targetPath } from './create/targets.ts'
import { createUploadRow, type NewUpload, type NewUploadRow } from './create/upload-row.ts'
import { awaitsConfirm, checkIdempotencyKey, isTerminal, type UploadRow } from './rules.ts'
import { terminateUpload } from './terminate.ts'

const IDEMPOTENT_MS = 24 * 3_600_000

/**
 * Reserves the space and makes the row; then its URL takes the bytes. What can be refused is refused here: role, name, place,
 * size, quota, and how much its maker has under way. EDITOR, scope FILES_WRITE. Throws NotFound, Forbidden, InvalidInput,
 * NameConflict, FileTooLarge, QuotaExceeded, RateLimited, and InvalidState for a place in the trash.
 */
export async function createUpload(ctx: ServiceContext, input: NewUpload): Promise<UploadRow> {
  const upload = await inBatchedTransaction(ctx, input.workspaceId, (s) => prepareUpload(s, input))
  await stageUpload(ctx, upload)
  return upload
}

/** The row alone, in the transaction of the caller, who stages it afterwards. */
export async function prepareUpload(s: TxContext, input: NewUpload): Promise<UploadRow> {
  const { autoFile } = await requireAccess(s.tx, s.viewer, input.workspaceId, toWrite)
  if (input.transport === 'FORM') {
    throw new InvalidInput({ path: ['transport'], message: 'a form makes its own upload' })
  }
  return (
    (await createdBefore(s, input)) ?? insertUpload(s, createUploadRow(s, input, autoFile === 1))
  )
}

/** Whether nothing of it is there yet: also after a crash between row and stage, until the same key is asked again. */
export const isUntouched = ({ offset, status }: UploadRow) => offset === 0 && !isTerminal(status)

/** Makes room for the bytes. Where there is none the reservation goes as well. */
export async function stageUpload(ctx: ServiceContext, upload: UploadRow): Promise<void> {
  if (!isUntouched(upload)) return
  try {
    await ctx.blobs.stage(upload.id, upload.size)
  } catch (error) {
    await inTransaction(ctx, (s) =>
      terminateUpload(s, { id: upload.id }, 'CANCELED', { idempotencyKey: null }),
    )
    throw error
  }
}

async function createdBefore({ tx, viewer, now }: TxContext, input: NewUpload) {
  if (input.idempotencyKey == null) return null
  const upload = await tx
    .selectFrom('uploads')
    .selectAll()
    .where('workspaceId', '=', input.workspaceId)
    .where('createdBy', '=', viewer?.userId ?? '')
    .where('idempotencyKey', '=', checkIdempotencyKey(input.idempotencyKey))
    .executeTakeFirst()
  if (!upload || upload.createdAt > now() - IDEMPOTENT_MS) return upload
  await tx
    .updateTable('uploads')
    .set({ idempotencyKey: null })
    .where('id', '=', upload.id)
    .execute()
  return null
}

/** The row of a draft, with its room reserved: what can be refused is refused here. */
export async function insertUpload(s: TxContext, draft: NewUploadRow): Promise<UploadRow> {
  const { id, workspaceId, createdBy, name, size, versionOf, reservedBytes } = draft
  // It will be asked for in any case: what comes before that need not be told twice.
  lockWorkspace(s.tx, workspaceId)
  const target = await requireTarget(s, draft)
  if (versionOf) await requireVersioned(s, { workspaceId, versionOf })
  else if (draft.onConflict === 'FAIL') await requireFreeName(s, target, checkName(name))
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
  if (awaitsConfirm(upload)) await enqueueConfirm(s, id)
  return upload
}
