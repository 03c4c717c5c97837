import type { ExpressionBuilder } from 'kysely'
import type { Viewer } from '../../context.ts'
import { alignToIds, type Db } from '../../database/database.ts'
import { idPrefix } from '../../database/ids.ts'
import { folderKind } from '../../database/query/entry-kinds.ts'
import { prepared } from '../../database/query/prepared.ts'
import type { Row, Tables } from '../../database/tables.ts'
import type { Tx } from '../../database/transaction.ts'
import { InvalidState, NotFound } from '../../errors.ts'
import { prefixUpperBound } from '../../names.ts'
import {
  type AccessibleWorkspace,
  type AccessRequirement,
  requireAccess,
} from '../workspaces/reads.ts'
import { checkEntryPath, childPath } from './rules.ts'

export type EntryRow = Row<'entries'>
/** An entry by id, or by its path in a workspace. */
export type EntryRef = {
  id?: string | null | undefined
  path?: { workspaceId: string; path: string } | null | undefined
}
/** An entry that the viewer may use, its folder (null for a root and for what was itself trashed), and its workspace. */
export type ResolvedEntry = {
  entry: EntryRow
  parent: EntryRow | null
  workspace: AccessibleWorkspace
}

export async function entriesById(
  db: Db | Tx,
  ids: readonly string[],
): Promise<(EntryRow | null)[]> {
  return alignToIds(ids, await standing(db, ids))
}

const standing = prepared((db, ids: readonly string[]) =>
  db.selectFrom('entries').selectAll().where('id', 'in', ids).where('purgingAt', 'is', null),
)

export async function entryById(db: Db | Tx, id: string): Promise<EntryRow | null> {
  return (await entriesById(db, [id]))[0] ?? null
}

/** The entry of this id, in the trash or not; NotFound, Forbidden. */
export async function requireEntry(
  db: Db | Tx,
  viewer: Viewer,
  id: string,
  need: AccessRequirement,
): Promise<ResolvedEntry> {
  const entry = isEntryId(id) ? await entryById(db, id) : null
  const workspace = await requireAccess(db, viewer, entry?.workspaceId ?? '', need, id)
  if (!entry) throw new NotFound(id)
  const parent = entry.parentId ? await entryById(db, entry.parentId) : null
  const trashRootId = trashRootOf(entry, parent)
  const gone = (entry.parentId && !parent) || (trashRootId && !(await entryById(db, trashRootId)))
  if (gone || (!workspace.viewerRole && trashRootId)) throw new NotFound(id)
  return { entry, parent, workspace }
}

/** The same for what is to be changed: what is in the trash is InvalidState. */
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
    throw new InvalidState('TRASHED', 'this is in the trash; restore it first')
  }
  return found
}

/** The same for a folder that is to receive something. */
export async function requireLiveFolder(
  db: Db | Tx,
  viewer: Viewer,
  ref: EntryRef,
  need: AccessRequirement,
): Promise<ResolvedEntry> {
  const found = await requireLive(db, viewer, ref, need)
  if (found.entry.kind !== 'folder') throw new InvalidState('FILE', 'this is a file, not a folder')
  return found
}

async function requirePath(
  db: Db | Tx,
  viewer: Viewer,
  { workspaceId, path }: { workspaceId: string; path: string },
  need: AccessRequirement,
): Promise<ResolvedEntry> {
  const workspace = await requireAccess(db, viewer, workspaceId, need)
  const entry = await entryByPath(db, workspaceId, path)
  if (!entry) throw new NotFound(path, `nothing is at ${JSON.stringify(path)}`)
  const parent = entry.parentId ? await entryById(db, entry.parentId) : null
  return { entry, parent, workspace }
}

/** What lives at this path, or null; the empty path is the root. Two look-ups, however deep. */
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

export async function liveFolder(
  db: Db | Tx,
  workspaceId: string,
  pathKey: string,
): Promise<EntryRow | null> {
  return (await liveFolders(db, workspaceId, pathKey))[0] ?? null
}

const liveFolders = prepared((db, workspaceId: string, pathKey: string) =>
  db
    .selectFrom('entries')
    .selectAll()
    .where('workspaceId', '=', workspaceId)
    .where('kind', '=', folderKind)
    .where('pathKey', '=', pathKey)
    .where('trashRootId', 'is', null),
)

/** What has this name in a folder. */
export async function childByKey(
  db: Db | Tx,
  folderId: string,
  nameKey: string,
): Promise<EntryRow | null> {
  return (await childrenByKey(db, folderId, nameKey))[0] ?? null
}

const childrenByKey = prepared((db, folderId: string, nameKey: string) =>
  db
    .selectFrom('entries')
    .selectAll()
    .where('parentId', '=', folderId)
    .where('nameKey', '=', nameKey),
)

/** From the workspace root; of what is in the trash, where it was. */
export function pathOf(entry: EntryRow, parent: EntryRow | null): string {
  if (entry.kind === 'folder') return entry.path ?? ''
  return parent ? childPath(parent, entry.name) : (entry.originalPath ?? entry.name)
}

/** The id of the trashed entry that this one went with (or is); null while it lives. */
export function trashRootOf(entry: EntryRow, parent: EntryRow | null): string | null {
  if (entry.trashedAt !== null) return entry.id
  return entry.kind === 'folder' ? entry.trashRootId : (parent?.trashRootId ?? null)
}

/**
 * A folder and all folders below it: the living ones of a living folder, and of a trashed one those that went with it. Of these,
 * where so asked, those whose pathKeys begin at `from` and end before `to`.
 */
export function subtreeOf(
  { workspaceId, trashRootId, pathKey }: EntryRow,
  { from = pathKey ?? '', to = prefixUpperBound(pathKey ?? '') }: Stretch = {},
) {
  return (eb: ExpressionBuilder<Tables, 'entries'>) =>
    eb.and([
      ...(trashRootId
        ? [eb('trashRootId', '=', trashRootId)]
        : [
            eb('workspaceId', '=', workspaceId),
            eb('kind', '=', folderKind),
            eb('trashRootId', 'is', null),
          ]),
      eb('pathKey', '>=', from),
      eb('pathKey', '<', to),
    ])
}
type Stretch = { from?: string | undefined; to?: string | undefined }

const isEntryId = (id: string) => ['fld', 'file'].includes(idPrefix(id) ?? '')
