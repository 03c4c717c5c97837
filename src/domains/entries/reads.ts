import type { Viewer } from '../../context.ts'
import { alignToIds, type Db } from '../../database/database.ts'
import { idPrefix } from '../../database/ids.ts'
import { folderKind } from '../../database/query/entry-kinds.ts'
import { prepared } from '../../database/query/prepared.ts'
import type { MediaKind, Row } from '../../database/tables.ts'
import type { Tx } from '../../database/transaction.ts'
import { NotFound } from '../../errors/access.ts'
import { InvalidState } from '../../errors/entries.ts'
import {
  type AccessibleWorkspace,
  type AccessRequirement,
  requireAccess,
} from '../workspaces/reads.ts'
import { checkEntryPath, childPath } from './rules.ts'

/** A folder. Its columns of files are null. */
export type FolderRow = Row<'entries'> & { kind: 'folder'; path: string; pathKey: string } & {
  mediaType: null
  mediaKind: null
  sha256: null
  versionId: null
}
/** A file. Its columns of folders are null. */
export type FileRow = Row<'entries'> & { kind: 'file'; path: null; pathKey: null } & {
  trashRootId: null
  mediaType: string
  mediaKind: MediaKind
  sha256: string
  versionId: string
}
export type EntryRow = FolderRow | FileRow
/** An entry that was itself moved to the trash. */
export type TrashedRow = EntryRow & { trashedAt: number; originalPath: string }

/** Returns whether an entry was itself moved to the trash. */
export const isTrashed = (entry: EntryRow): entry is TrashedRow => entry.trashedAt !== null
/** Reference to an entry, by id or by its path in a workspace. */
export type EntryRef = {
  id?: string | null | undefined
  path?: { workspaceId: string; path: string } | null | undefined
}
/**
 * An authorised entry with its workspace and its parent (null for a root and for a directly trashed entry).
 */
export type ResolvedEntry = {
  entry: EntryRow
  parent: FolderRow | null
  workspace: AccessibleWorkspace
}

/** Returns a query for whole entries, typed by their kind. */
export const selectEntries = (db: Db | Tx) =>
  db.selectFrom('entries').selectAll().$castTo<EntryRow>()

/** Loads entries by id, with null for each that does not exist or is being purged. */
export async function entriesById(
  db: Db | Tx,
  ids: readonly string[],
): Promise<(EntryRow | null)[]> {
  return alignToIds(ids, await selectByIds(db, ids))
}

const selectByIds = prepared((db, ids: readonly string[]) =>
  selectEntries(db).where('id', 'in', ids).where('purgingAt', 'is', null),
)

/** An entry and its parent; the parent of a folder is not loaded. */
type EntryWithParent = { entry: EntryRow; parent: FolderRow | null }

/** Loads the entries among `ids` that exist and are not being purged, and the parents of files. */
export async function entriesWithParents(
  db: Db | Tx,
  ids: readonly string[],
): Promise<EntryWithParent[]> {
  const entries = await existingEntries(db, ids)
  const parentIds = entries.flatMap(({ kind, parentId }) => (kind === 'file' && parentId) || [])
  const parents = await existingEntries(db, parentIds)
  const folders = parents.filter((parent) => parent.kind === 'folder')
  const byId = new Map<string | null, FolderRow>(folders.map((folder) => [folder.id, folder]))
  return entries.map((entry) => ({ entry, parent: byId.get(entry.parentId) ?? null }))
}

async function existingEntries(db: Db | Tx, ids: readonly string[]): Promise<EntryRow[]> {
  if (ids.length === 0) return []
  return (await entriesById(db, [...new Set(ids)])).filter((entry) => entry !== null)
}

/** Returns the entry, or null if it does not exist or is being purged. */
export async function entryById(db: Db | Tx, id: string): Promise<EntryRow | null> {
  return (await entriesById(db, [id]))[0] ?? null
}

/**
 * Returns the folder with this id, such as the parentId of an entry, or null if there is no id or the folder
 * does not exist or is being purged. Throws Error if the row is damaged: not a folder or without a path.
 */
export async function folderById(
  db: Db | Tx,
  id: string | null | undefined,
): Promise<FolderRow | null> {
  const entry = id == null ? null : await entryById(db, id)
  if (entry && (entry.kind === 'file' || entry.pathKey === null))
    throw new Error(`entry ${id} is not a folder with a path`)
  return entry
}

/**
 * Returns the entry with this id, which may be in the trash. Throws NotFound if it does not exist or the
 * viewer may not see it, and Forbidden if the viewer lacks the required role or scope.
 */
export async function requireEntry(
  db: Db | Tx,
  viewer: Viewer,
  id: string,
  need: AccessRequirement,
): Promise<ResolvedEntry> {
  const entry = isEntryId(id) ? await entryById(db, id) : null
  const workspace = await requireAccess(db, viewer, entry?.workspaceId ?? '', need, id)
  if (!entry) throw new NotFound(id)
  const parent = await folderById(db, entry.parentId)
  const trashRootId = trashRootOf(entry, parent)
  const isPurged =
    (entry.parentId && !parent) || (trashRootId && !(await entryById(db, trashRootId)))
  if (isPurged || (!workspace.viewerRole && trashRootId)) throw new NotFound(id)
  return { entry, parent, workspace }
}

/**
 * Returns an entry that is not in the trash. Throws NotFound, Forbidden, and InvalidState for a trashed
 * entry.
 */
export async function requireLive(
  db: Db | Tx,
  viewer: Viewer,
  ref: EntryRef,
  need: AccessRequirement,
): Promise<ResolvedEntry> {
  const found = ref.path
    ? await requirePath(db, viewer, ref.path, need)
    : await requireEntry(db, viewer, ref.id ?? '', need)
  if (trashRootOf(found.entry, found.parent)) {
    throw new InvalidState('TRASHED', 'the entry is in the trash; restore it first')
  }
  return found
}

/**
 * Returns a folder that is not in the trash. Throws NotFound, Forbidden, and InvalidState for a file or
 * trashed folder.
 */
export async function requireLiveFolder(
  db: Db | Tx,
  viewer: Viewer,
  ref: EntryRef,
  need: AccessRequirement,
): Promise<ResolvedEntry & { entry: FolderRow }> {
  const { entry, ...found } = await requireLive(db, viewer, ref, need)
  if (entry.kind !== 'folder') throw new InvalidState('FILE', 'the entry is a file, not a folder')
  return { ...found, entry }
}

async function requirePath(
  db: Db | Tx,
  viewer: Viewer,
  { workspaceId, path }: { workspaceId: string; path: string },
  need: AccessRequirement,
): Promise<ResolvedEntry> {
  const workspace = await requireAccess(db, viewer, workspaceId, need)
  const entry = await entryByPath(db, workspaceId, path)
  if (!entry) throw new NotFound(path, `no entry has the path ${JSON.stringify(path)}`)
  return { entry, parent: await folderById(db, entry.parentId), workspace }
}

/**
 * Returns the live entry at this path, or null if none exists. The empty path is the root. Takes two queries
 * at any depth. Throws InvalidInput for an invalid path.
 */
export async function entryByPath(
  db: Db | Tx,
  workspaceId: string,
  path: string,
): Promise<EntryRow | null> {
  const names = checkEntryPath(path)
  const last = names.at(-1)
  const pathKey = names
    .slice(0, -1)
    .map(({ nameKey }) => `${nameKey}/`)
    .join('')
  const folder = await liveFolder(db, workspaceId, pathKey)
  return last && folder ? childByKey(db, folder.id, last.nameKey) : folder
}

/** Returns the live folder with this pathKey, or null if it does not exist. */
export async function liveFolder(
  db: Db | Tx,
  workspaceId: string,
  pathKey: string,
): Promise<FolderRow | null> {
  return (await liveFolders(db, workspaceId, pathKey))[0] ?? null
}

const liveFolders = prepared((db, workspaceId: string, pathKey: string) =>
  selectEntries(db)
    .where('workspaceId', '=', workspaceId)
    .where('kind', '=', folderKind)
    .where('pathKey', '=', pathKey)
    .where('trashRootId', 'is', null)
    .$castTo<FolderRow>(),
)

/** Returns the child of a folder with this name key, or null if none exists. */
export async function childByKey(
  db: Db | Tx,
  folderId: string,
  nameKey: string,
): Promise<EntryRow | null> {
  return (await childrenByKey(db, folderId, nameKey))[0] ?? null
}

const childrenByKey = prepared((db, folderId: string, nameKey: string) =>
  selectEntries(db).where('parentId', '=', folderId).where('nameKey', '=', nameKey),
)

/** Returns the path of an entry from the workspace root; for a trashed entry, its original path. */
export function pathOf(entry: EntryRow, parent: FolderRow | null): string {
  if (entry.kind === 'folder') return entry.path
  return parent ? childPath(parent, entry.name) : (entry.originalPath ?? entry.name)
}

/** Returns the path of an entry, like pathOf, after loading its parent. */
export const loadPath = async (db: Db | Tx, entry: EntryRow): Promise<string> =>
  pathOf(entry, await folderById(db, entry.parentId))

/**
 * Returns the id of the entry that was moved to the trash and took this one with it (the entry itself or an
 * ancestor), or null for a live entry.
 */
export function trashRootOf(entry: EntryRow, parent: FolderRow | null): string | null {
  if (entry.trashedAt !== null) return entry.id
  return entry.kind === 'folder' ? entry.trashRootId : (parent?.trashRootId ?? null)
}

/** Returns whether the id has the form of an id of an entry. */
export const isEntryId = (id: string) => ['fld', 'file'].includes(idPrefix(id) ?? '')
