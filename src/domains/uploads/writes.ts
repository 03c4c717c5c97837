import { newId } from '../../database/ids.ts'
import type { NameConflictMode } from '../../database/tables.ts'
import { Unauthenticated } from '../../errors.ts'
import { inTransaction, type Scope, type TxScope } from '../../scope.ts'
import { record } from '../activity/writes.ts'
import { checkDescription, checkMetadata, checkName } from '../entries/rules.ts'
import { toWrite } from '../entries/writes.ts'
import { driveFolder } from '../files/media.ts'
import { checkTagNames } from '../tags/rules.ts'
import { requireAccess } from '../workspaces/reads.ts'
import { reserve } from '../workspaces/writes.ts'
import { endUpload } from './endings.ts'
import {
  checkIdempotencyKey,
  checkMediaType,
  checkSha256,
  checkSize,
  isOver,
  receivedStatus,
  type UploadRow,
} from './rules.ts'
import { refuseTaken, requireTarget, requireVersioned, targetPath } from './targets.ts'

type Maybe<T> = T | null | undefined
export type NewUpload = {
  workspaceId: string
  /** Folders below folderId, or below the root: made when missing. */
  path?: Maybe<string>
  folderId?: Maybe<string>
  /** Without one: `upload-<id>`. */
  name?: Maybe<string>
  /** Without one the length is deferred. */
  size?: Maybe<number>
  mediaType?: Maybe<string>
  sha256?: Maybe<string>
  description?: Maybe<string>
  tags?: Maybe<readonly string[]>
  metadata?: Maybe<Record<string, unknown>>
  onConflict?: Maybe<NameConflictMode>
  versionOf?: Maybe<string>
  idempotencyKey?: Maybe<string>
  /** The last byte also confirms. */
  autoConfirm?: boolean
  /** The Upload-Metadata header, to be given back as it came. */
  tusMetadata?: Maybe<string>
}

const IDEMPOTENT_MS = 24 * 3_600_000

/**
 * Reserves the space and makes the row; then its URL takes the bytes. What can be refused is refused here: role, name, place,
 * size, quota. EDITOR, scope FILES_WRITE. Throws NotFound, Forbidden, InvalidInput, NameConflict, FileTooLarge,
 * QuotaExceeded, and InvalidState for a place in the trash.
 */
export async function createUpload(scope: Scope, input: NewUpload): Promise<UploadRow> {
  const upload = await inTransaction(scope, (s) => prepareUpload(s, input))
  await stageUpload(scope, upload)
  return upload
}

/** The row alone, in the transaction of the caller, who stages it afterwards. */
export async function prepareUpload(s: TxScope, input: NewUpload): Promise<UploadRow> {
  const { autoFile } = await requireAccess(s.tx, s.viewer, input.workspaceId, toWrite)
  return (await createdBefore(s, input)) ?? insertUpload(s, draftOf(s, input, autoFile === 1))
}

/** Whether nothing of it is there yet: also after a crash between row and stage, until the same key is asked again. */
export const isUntouched = ({ offset, status }: UploadRow) => offset === 0 && !isOver(status)

/** Makes room for the bytes. Where there is none the reservation goes as well. */
export async function stageUpload(scope: Scope, upload: UploadRow): Promise<void> {
  if (!isUntouched(upload)) return
  try {
    await scope.blobs.stage(upload.id)
  } catch (error) {
    await inTransaction(scope, (s) => endUpload(s, { id: upload.id }, 'CANCELED', { idempotencyKey: null }))
    throw error
  }
}

async function createdBefore({ tx, viewer, now }: TxScope, input: NewUpload) {
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

/** The row as it would be; throws InvalidInput and FileTooLarge. */
function draftOf({ viewer, now, limits }: TxScope, input: NewUpload, autoFile: boolean) {
  if (!viewer) throw new Unauthenticated()
  const id = newId('upl')
  const { name } = checkName(input.name ?? `upload-${id}`)
  const size = input.size == null ? null : checkSize(input.size, limits.maxUploadBytes)
  const filed = autoFile && input.folderId == null && input.versionOf == null
  return {
    id,
    workspaceId: input.workspaceId,
    createdBy: viewer.userId,
    tokenId: viewer.tokenId,
    status: receivedStatus(0, size),
    name,
    folderId: input.folderId ?? null,
    path: input.path ?? (filed ? driveFolder(name) : ''),
    versionOf: input.versionOf ?? null,
    size,
    offset: 0,
    reservedBytes: size ?? 0,
    mediaType: input.mediaType == null ? null : checkMediaType(input.mediaType),
    sha256: input.sha256 == null ? null : checkSha256(input.sha256),
    description: input.description == null ? null : checkDescription(input.description),
    tags: input.tags == null ? null : JSON.stringify(checkTagNames(input.tags)),
    metadata: input.metadata == null ? null : checkMetadata(input.metadata),
    onConflict: input.onConflict ?? 'FAIL',
    autoConfirm: input.autoConfirm ? 1 : 0,
    tusMetadata: input.tusMetadata ?? null,
    idempotencyKey: input.idempotencyKey ?? null,
    fence: 0,
    createdAt: now(),
    expiresAt: now() + limits.uploadTtlMs,
    failures: '[]',
  }
}

async function insertUpload(s: TxScope, draft: ReturnType<typeof draftOf>): Promise<UploadRow> {
  const { id, workspaceId, name, size, versionOf } = draft
  const target = await requireTarget(s, draft)
  if (versionOf) await requireVersioned(s, { workspaceId, versionOf })
  else if (draft.onConflict === 'FAIL') await refuseTaken(s, target, checkName(name))
  await reserve(s, workspaceId, draft.reservedBytes)
  const path = targetPath(target, name)
  await record(s, { workspaceId, action: 'UPLOAD_CREATED', path, details: { uploadId: id, size } })
  return s.tx.insertInto('uploads').values(draft).returningAll().executeTakeFirstOrThrow()
}
