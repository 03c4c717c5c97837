import { join } from 'node:path'
import { wrapIoError } from '../../../blobs/disk/errors.ts'
import { inLockedTransaction, inTransaction, type ServiceContext } from '../../../context.ts'
import { CommitUnknown } from '../../../database/errors.ts'
import type { NameConflictMode } from '../../../database/tables.ts'
import { InvalidState } from '../../../errors/entries.ts'
import { requireUnrevoked } from '../../accounts/reads.ts'
import { withInputPath } from '../../entries/input-path.ts'
import { type EntryRef, type FolderRow, requireLiveFolder } from '../../entries/reads.ts'
import { checkEntryPath } from '../../entries/rules.ts'
import { resolveNameConflict, toWrite } from '../../entries/writes.ts'
import { commitBytes } from '../../uploads/confirm/confirm.ts'
import {
  claimUpload,
  defaultTimeout,
  keepConfirmLease,
} from '../../uploads/confirm/confirm-lease.ts'
import { releaseClaim } from '../../uploads/confirm/failures.ts'
import { completeUpload } from '../../uploads/confirm/publish.ts'
import {
  createReservation,
  dropReservation,
  releaseReservation,
  renewReservation,
} from '../../uploads/form/reservation.ts'
import { requireOwnUpload } from '../../uploads/reads.ts'
import type { UploadRow } from '../../uploads/rules.ts'
import { requireAccess } from '../../workspaces/reads.ts'
import { inWorkspaceTransaction } from '../../workspaces/transaction.ts'
import { openZip, type Zip } from '../zip/zip-reader.ts'
import { importItems } from './import-items.ts'
import { insertTree, type StagedItem } from './insert-tree.ts'
import { removeAll, stageAll } from './staging.ts'
import { createTempFile, createTempFolder } from './temp-file.ts'

type ImportInput = { uploadId: string; folder: EntryRef; onConflict: NameConflictMode }

/**
 * Imports the tree of an archive under `folder`. An archive of this server is imported with descriptions,
 * tags, metadata and versions; any other ZIP as a plain tree. The archive is an upload of the viewer that has
 * all its bytes and is no file; it becomes COMPLETE without one, and its bytes are deleted. All bytes are
 * stored and verified first, then one transaction inserts all rows, so the import is atomic; after an error
 * or a crash the upload can be imported again. Keeps three numbers for each member in memory, and the entries
 * of the first level. Requires role EDITOR and scopes FILES_READ and FILES_WRITE. Throws NotFound, Forbidden,
 * Unauthenticated, InvalidInput, InvalidState, NameConflict, QuotaExceeded, RateLimited, FileTooLarge,
 * ChecksumMismatch, UploadIncomplete, UploadExpired, SizeMismatch, StorageError.
 */
export function importArchive(ctx: ServiceContext, input: ImportInput): Promise<ImportResult> {
  // A broken stream fails with a plain errno error, not with a StorageError.
  return runImport(ctx, input).catch(wrapIoError('cannot read the archive'))
}
type ImportResult = { folder: FolderRow; entryCount: number }

async function runImport(
  ctx: ServiceContext,
  { uploadId, folder: folderRef, onConflict }: ImportInput,
): Promise<ImportResult> {
  await withInputPath('uploadId', requireArchive(ctx, uploadId))
  const found = requireLiveFolder(ctx.db, ctx.viewer, folderRef, toWrite)
  const { entry: folder } = await withInputPath('folder', found)
  const archive = await withInputPath('uploadId', claimArchive(ctx, uploadId))
  using _lease = keepConfirmLease(ctx, archive)
  try {
    await commitBytes(ctx, archive, { uploadId })
    const result = await importClaimed(ctx, { archive, folder, onConflict })
    // The sweeper collects the bytes if they cannot be removed now.
    await ctx.blobs.remove(archive.id).catch(() => {})
    return result
  } catch (error) {
    if (!(error instanceof CommitUnknown)) await releaseClaim(ctx, archive, error)
    throw error
  }
}

async function requireArchive({ db, viewer }: ServiceContext, uploadId: string) {
  const { workspaceId } = await requireOwnUpload(db, viewer, uploadId)
  await requireAccess(db, viewer, workspaceId, { scope: 'FILES_READ' })
}

async function claimArchive(ctx: ServiceContext, uploadId: string): Promise<UploadRow> {
  const { upload, mine } = await claimUpload(ctx, { uploadId }, defaultTimeout())
  if (mine) return upload
  throw new InvalidState(upload.status, 'the upload was confirmed or imported already')
}

type Claimed = { archive: UploadRow; folder: FolderRow; onConflict: NameConflictMode }

async function importClaimed(
  ctx: ServiceContext,
  { archive, folder, onConflict }: Claimed,
): Promise<ImportResult> {
  const zip = await openZip(ctx.blobs, { id: archive.id, size: archive.offset })
  const bytes = await validateImport(ctx, { zip, folder, onConflict })
  await using opened = new AsyncDisposableStack()
  const { dir } = opened.use(await createTempFolder('holdall-import-'))
  const staged = opened.use(await createTempFile(join(dir, 'staged')))
  // `bytes` is the sum of the announced sizes, and no member unpacks to more than its announced size.
  const reservation = await inWorkspaceTransaction(ctx, folder.workspaceId, (s) =>
    createReservation(s, folder.workspaceId, bytes),
  )
  opened.use(renewReservation(ctx, reservation))
  try {
    await stageAll(ctx, zip, staged)
    await staged.flush()
    const workspaceIds = [archive.workspaceId, folder.workspaceId]
    return await inLockedTransaction(ctx, workspaceIds, async (s) => {
      await requireUnrevoked(s.tx, s.viewer)
      const { entry } = await requireLiveFolder(s.tx, s.viewer, { id: folder.id }, toWrite)
      await completeUpload(s, archive)
      await releaseReservation(s, reservation)
      return insertTree(s, { items: staged.lines<StagedItem>(), destination: entry, onConflict })
    })
  } catch (error) {
    // The rows may have been committed, so their bytes must stay. If they were not, the sweeper collects the
    // bytes.
    if (error instanceof CommitUnknown) throw error
    await removeAll(ctx, staged)
    await dropReservation(ctx, reservation)
    throw error
  }
}

/**
 * Validates the entries of the archive and the names that it adds to the folder before any byte is copied.
 * Returns the total size in bytes.
 */
async function validateImport(
  ctx: ServiceContext,
  { zip, folder, onConflict }: { zip: Zip; folder: FolderRow; onConflict: NameConflictMode },
): Promise<number> {
  const checked = new Set<string>()
  let bytes = 0
  for await (const { path, versions } of importItems(zip)) {
    for (const { member } of versions) bytes += member.size
    const [top] = checkEntryPath(path)
    if (!top || onConflict !== 'FAIL' || checked.has(top.nameKey)) continue
    checked.add(top.nameKey)
    await inTransaction(ctx, (s) => resolveNameConflict(s, folder, top, 'FAIL'))
  }
  return bytes
}
