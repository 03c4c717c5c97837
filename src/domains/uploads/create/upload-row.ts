import type { TxContext } from '../../../context.ts'
import { newId } from '../../../database/ids.ts'
import type { NameConflictMode, UploadTransport } from '../../../database/tables.ts'
import { Unauthenticated } from '../../../errors/access.ts'
import { InvalidInput } from '../../../errors/input.ts'
import { checkDescription, checkMetadata, checkNewName } from '../../entries/rules.ts'
import { driveFolder } from '../../files/media.ts'
import { checkTagNames } from '../../tags/rules.ts'
import { checkSha256, checkSize, parseMediaTypeHint, receivedStatus } from '../rules.ts'

type Maybe<T> = T | null | undefined
export type NewUpload = {
  workspaceId: string
  /** Path of the folder below `folderId`, or below the root. Missing folders are created. */
  path?: Maybe<string>
  folderId?: Maybe<string>
  /** Default: `upload-<id>`. */
  name?: Maybe<string>
  /** Size in bytes. If omitted, the length is deferred. */
  size?: Maybe<number>
  /** A hint; ignored if it is no media type. */
  mediaType?: Maybe<string>
  sha256?: Maybe<string>
  description?: Maybe<string>
  tags?: Maybe<readonly string[]>
  metadata?: Maybe<Record<string, unknown>>
  onConflict?: Maybe<NameConflictMode>
  versionOf?: Maybe<string>
  idempotencyKey?: Maybe<string>
  /** Whether the upload is confirmed automatically after its last byte. */
  autoConfirm?: boolean
  /** The Upload-Metadata header, returned unchanged. */
  tusMetadata?: Maybe<string>
  transport?: Maybe<UploadTransport>
  /** The Upload-Concat header, returned unchanged. */
  concat?: Maybe<string>
}

export type NewUploadRow = ReturnType<typeof createUploadRow>

/**
 * Returns the row of a new upload without inserting it. With `autoFile`, an upload without a folder goes to
 * the folder that driveFolder returns for its name. Throws Unauthenticated, InvalidInput and FileTooLarge.
 */
export function createUploadRow(
  { viewer, now, limits }: Pick<TxContext, 'viewer' | 'now' | 'limits'>,
  input: NewUpload,
  autoFile: boolean,
  id = newId('upl'),
) {
  if (!viewer) throw new Unauthenticated()
  const { name } = checkNewName(input.name ?? `upload-${id}`)
  const size = input.size == null ? null : checkSize(input.size, limits.maxUploadBytes)
  if (size === null && input.transport === 'SIGNED_PUT') {
    throw new InvalidInput({ path: ['size'], message: 'is required for SIGNED_PUT' })
  }
  const isAutoFiled = autoFile && input.folderId == null && input.versionOf == null
  return {
    id,
    workspaceId: input.workspaceId,
    createdBy: viewer.userId,
    tokenId: viewer.tokenId,
    status: receivedStatus(0, size),
    name,
    folderId: input.folderId ?? null,
    path: input.path ?? (isAutoFiled ? driveFolder(name) : ''),
    versionOf: input.versionOf ?? null,
    size,
    offset: 0,
    reservedBytes: size ?? 0,
    mediaType: input.mediaType == null ? null : parseMediaTypeHint(input.mediaType),
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
    transport: input.transport ?? 'TUS',
    concat: input.concat ?? null,
  }
}
