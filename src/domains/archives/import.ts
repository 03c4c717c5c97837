import { join } from 'node:path'
import { wrapIoError } from '../../blobs/disk/errors.ts'
import { inTransaction, type ServiceContext } from '../../context.ts'
import { CommitUnknown } from '../../database/errors.ts'
import type { NameConflictMode } from '../../database/tables.ts'
import { InvalidState, NotFound } from '../../errors.ts'
import { requireUnrevoked } from '../accounts/reads.ts'
import { withInputPath } from '../entries/input-path.ts'
import { type EntryRef, type EntryRow, requireLiveFolder } from '../entries/reads.ts'
import { checkEntryPath } from '../entries/rules.ts'
import { resolveNameConflict, toWrite } from '../entries/writes.ts'
import { requireVersion } from '../files/reads.ts'
import {
  dropReservation,
  releaseReservation,
  renewReservation,
  reserveRoom,
} from '../uploads/form/reservation.ts'
import { requireOwnUpload } from '../uploads/reads.ts'
import { importItems } from './import-items.ts'
import { insertTree, type StagedItem } from './insert-tree.ts'
import { removeAll, stageAll } from './staging.ts'
import { createTempFile, createTempFolder } from './temp-file.ts'
import { openZip, type Zip } from './zip-reader.ts'

type Importing = { uploadId: string; destination: EntryRef; onConflict: NameConflictMode }

/**
 * Rebuilds the tree of an archive under `destination`: of one that was made here with descriptions, tags, metadata and versions,
 * of any other ZIP the plain tree. First all bytes, each file checked, then all rows in one transaction: the whole tree is there,
 * or nothing of it. The memory does not grow with the archive but for three numbers a member. The viewer's own, confirmed upload;
 * EDITOR, scope FILES_WRITE. Throws NotFound, Forbidden, InvalidInput, InvalidState, NameConflict, QuotaExceeded, RateLimited,
 * FileTooLarge, ChecksumMismatch, StorageError.
 */
export function importArchive(ctx: ServiceContext, input: Importing): Promise<Imported> {
  // A stream that breaks on its way tells no more than its errno.
  return rebuild(ctx, input).catch(wrapIoError('the archive could not be read'))
}
type Imported = { folder: EntryRow; entryCount: number }

async function rebuild(
  ctx: ServiceContext,
  { uploadId, destination, onConflict }: Importing,
): Promise<Imported> {
  const { db, viewer, blobs } = ctx
  const version = await withInputPath('uploadId', confirmedVersion(ctx, uploadId))
  const { entry: folder } = await withInputPath(
    'destination',
    requireLiveFolder(db, viewer, destination, toWrite),
  )
  const zip = await openZip(blobs, { id: version.blobId, size: version.size })
  const bytes = await refuseImpossible(ctx, { zip, folder, onConflict })
  await using opened = new AsyncDisposableStack()
  const { dir } = opened.use(await createTempFolder('holdall-import-'))
  const staged = opened.use(await createTempFile(join(dir, 'staged')))
  // All that its versions announce, and no member unpacks to more than it announced.
  const room = await inTransaction(ctx, (s) => reserveRoom(s, folder.workspaceId, bytes))
  opened.use(renewReservation(ctx, room))
  try {
    await stageAll(ctx, zip, staged)
    await staged.flush()
    return await inTransaction(ctx, async (s) => {
      await requireUnrevoked(s.tx, s.viewer)
      const { entry } = await requireLiveFolder(s.tx, s.viewer, { id: folder.id }, toWrite)
      await releaseReservation(s, room)
      return insertTree(s, { items: staged.lines<StagedItem>(), destination: entry, onConflict })
    })
  } catch (error) {
    // Where the rows may be there, their bytes stay: if they are not, the sweeper takes them.
    if (error instanceof CommitUnknown) throw error
    await removeAll(ctx, staged)
    await dropReservation(ctx, room)
    throw error
  }
}

async function confirmedVersion({ db, viewer }: ServiceContext, uploadId: string) {
  const { status, versionId } = await requireOwnUpload(db, viewer, uploadId)
  if (status !== 'COMPLETE') throw new InvalidState(status, 'the upload is not confirmed')
  const { version } = await requireVersion(db, viewer, versionId ?? '', {
    scope: 'FILES_READ',
  }).catch((error) => {
    throw error instanceof NotFound
      ? new NotFound(uploadId, 'the archive is not there any more')
      : error
  })
  return version
}

/**
 * Reads all that the archive says of itself, and the names that it brings into the folder, before a byte is copied; the result
 * is how many bytes will be.
 */
async function refuseImpossible(
  ctx: ServiceContext,
  { zip, folder, onConflict }: { zip: Zip; folder: EntryRow; onConflict: NameConflictMode },
): Promise<number> {
  const seen = new Set<string>()
  let bytes = 0
  for await (const { path, versions } of importItems(zip)) {
    for (const { member } of versions) bytes += member.size
    const [top] = checkEntryPath(path)
    if (!top || onConflict !== 'FAIL' || seen.has(top.nameKey)) continue
    seen.add(top.nameKey)
    await inTransaction(ctx, (s) => resolveNameConflict(s, folder, top, 'FAIL'))
  }
  return bytes
}
