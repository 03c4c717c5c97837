import { createHash } from 'node:crypto'
import type { Db } from '../../database/database.ts'
import { fileKind, folderKind } from '../../database/query/entry-kinds.ts'
import { afterRow } from '../../database/query/keyset-predicate.ts'
import { SyncCursorExpired } from '../../errors.ts'
import { prefixUpperBound } from '../../names.ts'
import { eventsAfter, lastSeqOf } from '../activity/reads.ts'
import type { ActivityAction } from '../activity/rules.ts'
import type { Step, SyncPosition, Walk } from '../activity/sync-cursor.ts'
import { type EntryRow, entryById } from '../entries/reads.ts'
import type { WorkspaceRow } from '../workspaces/reads.ts'
import type { Change } from './events.ts'

type Reading = { db: Db; workspace: WorkspaceRow }
type Told = { changes: Change[]; place: SyncPosition }
type Way = { root: EntryRow; action: ActivityAction | null }

/**
 * Goes on with the walk of `place` for at most `room` entries: folder after folder by their paths, each before what it holds.
 * What moves meanwhile may be passed over; its event is behind `place`, and owes it. A walk that was at a folder
 * which is no longer where it was begins anew.
 */
export async function readSnapshot(
  { db, workspace }: Reading,
  { walk, ...place }: SyncPosition & { walk: Walk },
  room: number,
): Promise<Told> {
  const way = await wayOf(db, workspace, walk, place.seq)
  const { told, at } = way ? await tellBelow(db, way, walk, room) : { told: [], at: null }
  const changes = told.map((entry) => upserted(entry, way?.action ?? null))
  if (at) return { changes, place: { ...place, walk: { ...walk, at } } }
  const owedUntil = await lastSeqOf(db, workspace.id)
  return { changes, place: { ...place, owedUntil, walk: null } }
}

const upserted = (entry: EntryRow, action: ActivityAction | null): Change => ({
  kind: 'upserted',
  entry,
  action: action ?? (entry.kind === 'folder' ? 'FOLDER_CREATED' : 'FILE_CREATED'),
})

/** The folder to walk through; null where it is gone. */
async function wayOf(db: Db, { id, rootId }: WorkspaceRow, { of }: Walk, seq: number) {
  if (of === 'workspace') return wayFrom(await entryById(db, rootId), null)
  const [event] = await eventsAfter(db, id, seq - 1, 1)
  if (event?.seq !== seq) throw new SyncCursorExpired()
  return wayFrom(await entryById(db, event.entryId ?? ''), event.action as ActivityAction)
}

const wayFrom = (root: EntryRow | null, action: ActivityAction | null): Way | null =>
  root && root.trashRootId === null ? { root, action } : null

/** The next entries, and where they end; `at` is null when nothing is left. */
async function tellBelow(db: Db, way: Way, walk: Walk, room: number) {
  const told: EntryRow[] = []
  let at: Step | null = null
  for await (const [entry, step] of entriesBelow(db, way, walk, room + 1)) {
    if (told.length === room) return { told, at }
    told.push(entry)
    at = step
  }
  return { told, at: null }
}

type Stepped = [entry: EntryRow, at: Step]

/** At least `most` of them, where there are so many. */
async function* entriesBelow(
  db: Db,
  { root }: Way,
  { of, at }: Walk,
  most: number,
): AsyncGenerator<Stepped> {
  const found = await whereItWas(db, root, at)
  const start = found?.folder ?? root
  // The folder of an event was told by the event itself.
  if (!found && of === 'workspace') yield [root, stepAt(root, root)]
  yield* filesIn(db, root, start, found?.at.file ?? null, most)
  for (const folder of await foldersAfter(db, root, start, most)) {
    yield [folder, stepAt(root, folder)]
    yield* filesIn(db, root, folder, null, most)
  }
}

async function* filesIn(
  db: Db,
  root: EntryRow,
  folder: EntryRow,
  after: Step['file'],
  most: number,
): AsyncGenerator<Stepped> {
  for (const file of await filesAfter(db, folder, after, most)) {
    const { createdAt, id } = file
    yield [file, stepAt(root, folder, { createdAt, id })]
  }
}

/** The folder that the walk was at, where it still is. */
async function whereItWas(db: Db, root: EntryRow, at: Step | null) {
  const folder = at ? await entryById(db, at.folderId) : null
  if (!at || !folder || folder.trashRootId !== null) return null
  const isBelow =
    folder.workspaceId === root.workspaceId && folder.pathKey?.startsWith(root.pathKey ?? '')
  return isBelow && markOf(root, folder) === at.mark ? { folder, at } : null
}

const foldersAfter = (db: Db, root: EntryRow, folder: EntryRow, most: number) =>
  db
    .selectFrom('entries')
    .selectAll()
    .where('workspaceId', '=', root.workspaceId)
    .where('kind', '=', folderKind)
    .where('pathKey', '>', folder.pathKey ?? '')
    .where('pathKey', '<', prefixUpperBound(root.pathKey ?? ''))
    .where('trashRootId', 'is', null)
    .orderBy('pathKey')
    .limit(most)
    .execute()

/** In the order in which they were made, which no rename changes. */
function filesAfter(db: Db, folder: EntryRow, file: Step['file'], most: number) {
  const bound = (['createdAt', 'id'] as const).map((as) => ({
    key: { column: as, as, direction: 'asc' as const, numeric: as === 'createdAt' },
    value: file?.[as] ?? null,
  }))
  return db
    .selectFrom('entries')
    .selectAll()
    .where('parentId', '=', folder.id)
    .where('kind', '=', fileKind)
    .$if(file !== null, (q) => q.where(afterRow(bound)))
    .orderBy('createdAt')
    .orderBy('id')
    .limit(most)
    .execute()
}

type Placed = Pick<EntryRow, 'id' | 'pathKey'>

/** The place in a walk through `root` behind a folder and, with `file`, behind that file of it. */
const stepAt = (root: Placed, folder: Placed, file: Step['file'] = null): Step => ({
  folderId: folder.id,
  mark: markOf(root, folder),
  file,
})

/** What a folder's path below `root` hashes to: a walk goes by paths, and has to know where it was. */
const markOf = (root: Placed, folder: Placed) =>
  createHash('sha256')
    .update((folder.pathKey ?? '').slice((root.pathKey ?? '').length))
    .digest('base64url')
    .slice(0, 8)
