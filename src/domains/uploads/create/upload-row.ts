import type { TxContext } from '../../../context.ts'
import { newId } from '../../../database/ids.ts'
import type { NameConflictMode, UploadTransport } from '../../../database/tables.ts'
import { Unauthenticated } from '../../../errors/access.ts'
import { InvalidInput } from '../../../errors/input.ts'
import { checkDescription, checkMetadata, checkNewName } from '../../entries/rules.ts'
import { driveFolder } from '../../files/media.ts'
import { checkTagNames } from '../../tags/rules.ts'
import { checkSha256, checkSize, parseMediaTypeHint, receivedStatus } from '../rules.ts'
import { contentTimeOf } from './content-time.ts'
import { joinFolders, parseRelativePath, type RelativePath } from './relative-path.ts'

type Maybe<T> = T | null | undefined
export type NewUpload = {
  workspaceId: string
  /** Path of the folder below `folderId`, or below the root. Missing folders are created. */
  path?: Maybe<string>
  folderId?: Maybe<string>
  /** Folders below `path`, followed by the name of the file, which applies without `name`. */
  relativePath?: Maybe<string>
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
  /** Milliseconds since 1970. Default: `mtime` or `lastModified` of the metadata, if one is a time. */
  contentModifiedAt?: Maybe<number>
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
  const relativePath = parseRelativePath(input.relativePath)
  const { name } = checkNewName(input.name ?? relativePath.name ?? `upload-${id}`)
  const size = input.size == null ? null : checkSize(input.size, limits.maxUploadBytes)
  if (size === null && input.transport === 'SIGNED_PUT') {
    throw new InvalidInput({ path: ['size'], message: 'is required for SIGNED_PUT' })
  }
  return {
    id,
    workspaceId: input.workspaceId,
    createdBy: viewer.userId,
    tokenId: viewer.tokenId,
    status: receivedStatus(0, size),
    name,
    folderId: input.folderId ?? null,
    path: folderPathOf(input, relativePath, autoFile ? driveFolder(name) : ''),
    versionOf: input.versionOf ?? null,
    size,
    offset: 0,
    reservedBytes: size ?? 0,
    mediaType: input.mediaType == null ? null : parseMediaTypeHint(input.mediaType),
    sha256: input.sha256 == null ? null : checkSha256(input.sha256),
    description: input.description == null ? null : checkDescription(input.description),
    tags: input.tags == null ? null : JSON.stringify(checkTagNames(input.tags)),
    metadata: input.metadata == null ? null : checkMetadata(input.metadata),
    contentModifiedAt: input.contentModifiedAt ?? contentTimeOf(timesIn(input.metadata)),
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

/** Returns the path of the folder. `drivePath` applies to a file that is stated to be in no folder at all. */
function folderPathOf(
  { path, folderId, versionOf }: NewUpload,
  relativePath: RelativePath,
  drivePath: string,
): string {
  if (versionOf != null) return path ?? ''
  if (path == null && folderId == null && relativePath.folders === '') return drivePath
  return joinFolders(path ?? '', relativePath)
}

const timesIn = (metadata: NewUpload['metadata']) => [metadata?.mtime, metadata?.lastModified]
