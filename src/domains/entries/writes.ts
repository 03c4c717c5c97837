import type { TxContext } from '../../context.ts'
import { newId } from '../../database/ids.ts'
import type { FolderNameConflictMode, NameConflictMode } from '../../database/tables.ts'
import { NotFound } from '../../errors/access.ts'
import { InvalidState, NameConflict, StaleRevision } from '../../errors/entries.ts'
import { prefixUpperBound } from '../../names.ts'
import { record } from '../activity/writes.ts'
import { parseTagNames } from '../tags/rules.ts'
import { setTags } from '../tags/writes.ts'
import { workspaceCreated } from '../workspaces/writes.ts'
import { withInputPath } from './input-path.ts'
import { updateSubtreePaths } from './paths.ts'
import {
  childByKey,
  type EntryRef,
  type EntryRow,
  type FolderRow,
  pathOf,
  type ResolvedEntry,
  requireLive,
} from './reads.ts'
import {
  checkDescription,
  checkMetadata,
  checkName,
  checkNewName,
  childPath,
  childPathKey,
  type EntryName,
  freeName,
  mergeMetadata,
} from './rules.ts'
import { putInTrash } from './trash.ts'

/** The access that changing an entry requires. */
export const toWrite = { scope: 'FILES_WRITE', role: 'EDITOR' } as const

workspaceCreated.listen((_, { ctx, workspace }) =>
  insertEntry<FolderRow>(ctx, {
    id: workspace.rootId,
    workspaceId: workspace.id,
    kind: 'folder',
    parentId: null,
    name: '',
    nameKey: '',
    path: '',
    pathKey: '',
  }),
)

type NewEntry<E extends EntryRow> = Partial<E> &
  Pick<E, 'workspaceId' | 'kind' | 'parentId' | 'name' | 'nameKey' | ColumnsOfKind[E['kind']]>
type ColumnsOfKind = {
  folder: 'path' | 'pathKey'
  file: 'mediaType' | 'mediaKind' | 'sha256' | 'versionId'
}

/** Inserts the row of an entry and returns it. The caller must update the totals of the ancestors. */
export async function insertEntry<E extends EntryRow>(
  { tx, viewer, now }: TxContext,
  entry: NewEntry<E>,
): Promise<E> {
  const by = viewer?.userId ?? null
  return tx
    .insertInto('entries')
    .values({
      id: newId(entry.kind === 'folder' ? 'fld' : 'file'),
      metadata: '{}',
      revision: 1,
      size: 0,
      olderBytes: 0,
      fileCount: 0,
      folderCount: 0,
      createdAt: now(),
      createdBy: by,
      updatedAt: now(),
      updatedBy: by,
      ...entry,
    })
    .returningAll()
    .$castTo<E>()
    .executeTakeFirstOrThrow()
}

/** Inserts the row of a folder in `parent`, like insertEntry. Throws InvalidInput if its path is too long. */
export const insertFolder = (
  ctx: TxContext,
  parent: FolderRow,
  { name, nameKey }: EntryName,
  properties: Partial<FolderRow>,
) =>
  insertEntry<FolderRow>(ctx, {
    ...properties,
    workspaceId: parent.workspaceId,
    kind: 'folder',
    parentId: parent.id,
    name,
    nameKey,
    path: childPath(parent, name),
    pathKey: childPathKey(parent, nameKey),
  })

/**
 * Returns the name that an entry gets in `folder`. If another entry has the wanted name, FAIL throws
 * NameConflict, RENAME returns the next free numbered name, REPLACE moves the other entry to the trash, and
 * NEW_VERSION and REUSE return the other entry as `existing`. `except` is the id of the entry itself, which
 * never conflicts.
 */
export async function resolveNameConflict(
  ctx: TxContext,
  folder: FolderRow,
  wanted: EntryName,
  onConflict: NameConflictMode | FolderNameConflictMode,
  except?: string,
): Promise<{ name: EntryName; existing: EntryRow | null }> {
  const existing = await childByKey(ctx.tx, folder.id, wanted.nameKey)
  if (!existing || existing.id === except) return { name: wanted, existing: null }
  if (onConflict === 'NEW_VERSION' || onConflict === 'REUSE') return { name: wanted, existing }
  if (onConflict === 'REPLACE') {
    await putInTrash(ctx, existing, folder)
    return { name: wanted, existing: null }
  }
  const free = freeName(wanted.name, await similarKeys(ctx, folder, wanted))
  if (onConflict === 'RENAME') return { name: free, existing: null }
  throw new NameConflict({ name: wanted.name, existingId: existing.id, suggestedName: free.name })
}

/**
 * Returns the name keys of a folder that could equal a numbered name, because they have the same beginning.
 */
async function similarKeys({ tx }: TxContext, folder: FolderRow, { nameKey }: EntryName) {
  const start = [...nameKey.replace(/\..*$/s, '')].slice(0, 40).join('')
  const rows = await tx
    .selectFrom('entries')
    .select('nameKey')
    .where('parentId', '=', folder.id)
    .where('nameKey', '>=', start)
    .where('nameKey', '<', prefixUpperBound(start))
    .execute()
  return new Set(rows.map((row) => row.nameKey))
}

/** Updates columns of an entry, increments its revision and returns its row. */
export async function bumpRevision<E extends EntryRow>(
  { tx, viewer, now }: TxContext,
  { id }: E,
  change: Partial<EntryRow>,
): Promise<E> {
  return tx
    .updateTable('entries')
    .set((eb) => ({
      ...change,
      revision: eb('revision', '+', 1),
      updatedAt: now(),
      updatedBy: viewer?.userId ?? null,
    }))
    .where('id', '=', id)
    .returningAll()
    .$castTo<E>()
    .executeTakeFirstOrThrow()
}

/** Throws StaleRevision if `expected` is given and differs from the revision of the entry. */
export function checkRevision(entry: EntryRow, expected: number | null | undefined) {
  if (expected == null || expected === entry.revision) return
  throw new StaleRevision({ expected, actual: entry.revision, entryId: entry.id })
}

/** Returns the folder of a live entry. Throws InvalidState for the root folder of a workspace. */
export function requireParent({ entry, parent }: ResolvedEntry): FolderRow {
  if (entry.pathKey === '')
    throw new InvalidState('ROOT', 'the root folder of a workspace cannot be changed')
  if (!parent) throw new NotFound(entry.id)
  return parent
}

export type EntryChange = {
  entry: EntryRef
  name?: string | null | undefined
  description?: string | null | undefined
  tags?: readonly string[] | null | undefined
  metadata?: Record<string, unknown> | null | undefined
  expectedRevision?: number | null | undefined
}

/**
 * Changes the name, description, tags or metadata of an entry. Undefined fields stay unchanged; null removes
 * the description. Throws NotFound, Forbidden, InvalidInput, InvalidState, NameConflict and StaleRevision.
 */
export async function updateEntry(ctx: TxContext, change: EntryChange): Promise<EntryRow> {
  const found = await withInputPath('entry', requireLive(ctx.tx, ctx.viewer, change.entry, toWrite))
  checkRevision(found.entry, change.expectedRevision)
  const { id, workspaceId } = found.entry
  const renamed = change.name == null ? {} : await rename(ctx, found, change.name)
  if (change.tags != null) {
    await setTags(ctx, { workspaceId, entryId: id, tags: parseTagNames(change.tags) })
  }
  const details = detailColumns(found.entry, change)
  const entry = await bumpRevision(ctx, found.entry, { ...renamed, ...details })
  await record(ctx, {
    workspaceId,
    action: 'ENTRY_UPDATED',
    entryId: id,
    path: pathOf(entry, found.parent),
    details: changeDetails(found, change),
  })
  return entry
}

function detailColumns({ metadata }: EntryRow, change: EntryChange): Partial<EntryRow> {
  const { description, metadata: patch } = change
  return {
    ...(description !== undefined && {
      description: description === null ? null : checkDescription(description),
    }),
    ...(patch != null && { metadata: checkMetadata(mergeMetadata(JSON.parse(metadata), patch)) }),
  }
}

async function rename(ctx: TxContext, found: ResolvedEntry, name: string) {
  const { entry } = found
  const checked = checkName(name)
  const wanted = checked.nameKey === entry.nameKey ? checked : checkNewName(name)
  const parent = requireParent(found)
  const resolved = await withInputPath(
    'name',
    resolveNameConflict(ctx, parent, wanted, 'FAIL', entry.id),
  )
  if (entry.kind === 'file') return resolved.name
  return { ...resolved.name, ...(await updateSubtreePaths(ctx, entry, parent, resolved.name)) }
}

function changeDetails(
  { entry, parent }: ResolvedEntry,
  { entry: _, expectedRevision, ...change }: EntryChange,
) {
  const changed = Object.entries(change).flatMap(([key, value]) => (value === undefined ? [] : key))
  return { changed, ...(change.name != null && { from: pathOf(entry, parent) }) }
}
