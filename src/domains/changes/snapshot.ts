import { createHash } from 'node:crypto'
import type { Db } from '../../database/database.ts'
import { fileKind, folderKind } from '../../database/query/entry-kinds.ts'
import { afterRow } from '../../database/query/keyset-predicate.ts'
import { SyncCursorExpired } from '../../errors/input.ts'
import { prefixUpperBound } from '../../names.ts'
import { eventsAfter, lastSeqOf } from '../activity/reads.ts'
import type { ActivityAction } from '../activity/rules.ts'
import type { Scan, ScanPosition, SyncPosition } from '../activity/sync-cursor.ts'
import { type EntryRow, type FolderRow, folderById, selectEntries } from '../entries/reads.ts'
import type { WorkspaceRow } from '../workspaces/reads.ts'
import type { Change } from './events.ts'

type ReadContext = { db: Db; workspace: WorkspaceRow }
type ReadResult = { changes: Change[]; position: SyncPosition }
type ScanRoot = { root: FolderRow; action: ActivityAction | null }

/**
 * Continues the scan of a position for at most `limit` entries: folders in the order of their paths, each
 * before its contents. If an entry moves during the scan, it may be skipped, but its event follows `position`
 * and sends it again. The scan restarts if its current folder has moved.
 */
export async function readSnapshot(
  { db, workspace }: ReadContext,
  { scan, ...position }: SyncPosition & { scan: Scan },
  limit: number,
): Promise<ReadResult> {
  const scanRoot = await scanRootOf(db, workspace, scan, position.seq)
  const { entries, at } = scanRoot
    ? await scanEntries(db, scanRoot, scan, limit)
    : { entries: [], at: null }
  const changes = entries.map((entry) => toUpserted(entry, scanRoot?.action ?? null))
  if (at) return { changes, position: { ...position, scan: { ...scan, at } } }
  const resendUntil = await lastSeqOf(db, workspace.id)
  return { changes, position: { ...position, resendUntil, scan: null } }
}

const toUpserted = (entry: EntryRow, action: ActivityAction | null): Change => ({
  kind: 'upserted',
  entry,
  action: action ?? (entry.kind === 'folder' ? 'FOLDER_CREATED' : 'FILE_CREATED'),
})

/** Returns the folder to scan, or null if it no longer exists or is in the trash. */
async function scanRootOf(db: Db, { id, rootId }: WorkspaceRow, { of }: Scan, seq: number) {
  if (of === 'workspace') return toScanRoot(await folderById(db, rootId), null)
  const [event] = await eventsAfter(db, id, seq - 1, 1)
  if (event?.seq !== seq) throw new SyncCursorExpired()
  return toScanRoot(await folderById(db, event.entryId), event.action as ActivityAction)
}

const toScanRoot = (root: FolderRow | null, action: ActivityAction | null): ScanRoot | null =>
  root && root.trashRootId === null ? { root, action } : null

/** Returns the next entries of a scan and the position after them; `at` is null at the end. */
async function scanEntries(db: Db, scanRoot: ScanRoot, scan: Scan, limit: number) {
  const entries: EntryRow[] = []
  let at: ScanPosition | null = null
  for await (const [entry, position] of entriesBelow(db, scanRoot, scan, limit + 1)) {
    if (entries.length === limit) return { entries, at }
    entries.push(entry)
    at = position
  }
  return { entries, at: null }
}

type ScannedEntry = [entry: EntryRow, at: ScanPosition]

/** Yields the entries after the position of a scan: at least `limit` entries if that many exist. */
async function* entriesBelow(
  db: Db,
  { root }: ScanRoot,
  { of, at }: Scan,
  limit: number,
): AsyncGenerator<ScannedEntry> {
  const current = await currentFolder(db, root, at)
  const start = current?.folder ?? root
  // The event itself has already sent the folder at the root of its scan.
  if (!current && of === 'workspace') yield [root, scanPositionOf(root, root)]
  yield* filesIn(db, root, start, current?.at.file ?? null, limit)
  for (const folder of await foldersAfter(db, root, start, limit)) {
    yield [folder, scanPositionOf(root, folder)]
    yield* filesIn(db, root, folder, null, limit)
  }
}

async function* filesIn(
  db: Db,
  root: FolderRow,
  folder: FolderRow,
  after: ScanPosition['file'],
  limit: number,
): AsyncGenerator<ScannedEntry> {
  for (const file of await filesAfter(db, folder, after, limit)) {
    const { createdAt, id } = file
    yield [file, scanPositionOf(root, folder, { createdAt, id })]
  }
}

/** Returns the current folder of a scan, or null if it has moved or no longer exists. */
async function currentFolder(db: Db, root: FolderRow, at: ScanPosition | null) {
  const folder = await folderById(db, at?.folderId)
  if (!at || !folder || folder.trashRootId !== null) return null
  const isBelow = folder.workspaceId === root.workspaceId && folder.pathKey.startsWith(root.pathKey)
  return isBelow && pathMarkOf(root, folder) === at.mark ? { folder, at } : null
}

const foldersAfter = (db: Db, root: FolderRow, folder: FolderRow, limit: number) =>
  selectEntries(db)
    .where('workspaceId', '=', root.workspaceId)
    .where('kind', '=', folderKind)
    .where('pathKey', '>', folder.pathKey)
    .where('pathKey', '<', prefixUpperBound(root.pathKey))
    .where('trashRootId', 'is', null)
    .orderBy('pathKey')
    .limit(limit)
    .$castTo<FolderRow>()
    .execute()

/** Returns the files of a folder in the order of their creation, which a rename does not change. */
function filesAfter(db: Db, folder: FolderRow, file: ScanPosition['file'], limit: number) {
  const files = selectEntries(db)
    .where('parentId', '=', folder.id)
    .where('kind', '=', fileKind)
    .orderBy('createdAt')
    .orderBy('id')
    .limit(limit)
  if (file === null) return files.execute()
  const bound = (['createdAt', 'id'] as const).map((as) => ({
    key: { column: as, as, direction: 'asc' as const, numeric: as === 'createdAt' },
    value: file[as],
  }))
  return files.where(afterRow(bound)).execute()
}

type PathEntry = Pick<FolderRow, 'id' | 'pathKey'>

/** Returns the position in a scan of `root` after a folder and, with `file`, after that file in it. */
const scanPositionOf = (
  root: PathEntry,
  folder: PathEntry,
  file: ScanPosition['file'] = null,
): ScanPosition => ({
  folderId: folder.id,
  mark: pathMarkOf(root, folder),
  file,
})

/**
 * Returns a hash of the path of a folder below `root`, by which a scan detects that its current folder has
 * moved.
 */
const pathMarkOf = (root: PathEntry, folder: PathEntry) =>
  createHash('sha256')
    .update(folder.pathKey.slice(root.pathKey.length))
    .digest('base64url')
    .slice(0, 8)
