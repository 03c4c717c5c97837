import type { TxContext } from '../../context.ts'
import { newId } from '../../database/ids.ts'
import type { NameConflictMode } from '../../database/tables.ts'
import { InvalidInput, InvalidState, NameConflict, StaleRevision } from '../../errors.ts'
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

/** What changing an entry asks of the viewer. */
export const toWrite = { scope: 'FILES_WRITE', role: 'EDITOR' } as const

workspaceCreated.listen((_, { ctx, workspace }) =>
  insertEntry(ctx, {
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

type NewEntry = Pick<EntryRow, 'workspaceId' | 'kind' | 'parentId' | 'name' | 'nameKey'> &
  Partial<EntryRow>

/** The row alone; who calls it counts it in. */
export async function insertEntry(
  { tx, viewer, now }: TxContext,
  entry: NewEntry,
): Promise<EntryRow> {
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
    .executeTakeFirstOrThrow()
}

/** Where a new folder of this name in `parent` stands. */
export const placeOfFolder = (parent: EntryRow, { name, nameKey }: EntryName) => ({
  workspaceId: parent.workspaceId,
  kind: 'folder' as const,
  parentId: parent.id,
  name,
  nameKey,
  path: childPath(parent, name),
  pathKey: childPathKey(parent, nameKey),
})

/**
 * Decides which name an entry gets in `folder`. Free: the one that is wanted. Taken: FAIL throws NameConflict, RENAME finds
 * the next free number, REPLACE puts what is there in the trash, NEW_VERSION answers with what is there. An entry never
 * stands in its own way (`except`).
 */
export async function resolveNameConflict(
  s: TxContext,
  folder: EntryRow,
  wanted: EntryName,
  onConflict: NameConflictMode,
  except?: string,
): Promise<{ name: EntryName; existing: EntryRow | null }> {
  const existing = await childByKey(s.tx, folder.id, wanted.nameKey)
  if (!existing || existing.id === except) return { name: wanted, existing: null }
  if (onConflict === 'NEW_VERSION') return { name: wanted, existing }
  if (onConflict === 'REPLACE') {
    await putInTrash(s, existing, folder)
    return { name: wanted, existing: null }
  }
  const free = freeName(wanted.name, await keysLike(s, folder, wanted))
  if (onConflict === 'RENAME') return { name: free, existing: null }
  throw new NameConflict({ name: wanted.name, existingId: existing.id, suggestedName: free.name })
}

/** Taken names that could stand in the way of a numbered one: those that begin alike. */
async function keysLike({ tx }: TxContext, folder: EntryRow, { nameKey }: EntryName) {
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

/** Sets columns of an entry that somebody changed: one revision more. */
export async function bumpRevision(
  { tx, viewer, now }: TxContext,
  id: string,
  change: Partial<EntryRow>,
): Promise<EntryRow> {
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
    .executeTakeFirstOrThrow()
}

/** Throws StaleRevision unless the entry is as the caller last saw it. */
export function checkRevision(entry: EntryRow, expected: number | null | undefined) {
  if (expected == null || expected === entry.revision) return
  throw new StaleRevision({ expected, actual: entry.revision, entryId: entry.id })
}

export function refuseRoot(entry: EntryRow) {
  if (entry.pathKey === '') throw new InvalidState('ROOT', "this is the workspace's root folder")
}

export type EntryChange = {
  entry: EntryRef
  name?: string | null | undefined
  description?: string | null | undefined
  tags?: readonly string[] | null | undefined
  metadata?: Record<string, unknown> | null | undefined
  expectedRevision?: number | null | undefined
}

/** Renames, describes, tags: what is absent stays as it is; a null description is none. */
export async function updateEntry(s: TxContext, change: EntryChange): Promise<EntryRow> {
  const found = await withInputPath('entry', requireLive(s.tx, s.viewer, change.entry, toWrite))
  checkRevision(found.entry, change.expectedRevision)
  const { id, workspaceId } = found.entry
  const renamed = change.name == null ? {} : await rename(s, found, change.name)
  if (change.tags != null) {
    await setTags(s, { workspaceId, entryId: id, tags: parseTagNames(change.tags) })
  }
  const entry = await bumpRevision(s, id, { ...renamed, ...describe(found.entry, change) })
  await record(s, {
    workspaceId,
    action: 'ENTRY_UPDATED',
    entryId: id,
    path: pathOf(entry, found.parent),
    details: whatChanged(found, change),
  })
  return entry
}

function describe({ metadata }: EntryRow, change: EntryChange): Partial<EntryRow> {
  const { description, metadata: patch } = change
  return {
    ...(description !== undefined && {
      description: description === null ? null : checkDescription(description),
    }),
    ...(patch != null && { metadata: checkMetadata(mergeMetadata(JSON.parse(metadata), patch)) }),
  }
}

async function rename(s: TxContext, { entry, parent }: ResolvedEntry, name: string) {
  const checked = checkName(name)
  const wanted = checked.nameKey === entry.nameKey ? checked : checkNewName(name)
  refuseRoot(entry)
  if (!parent) throw new InvalidInput({ path: ['name'], message: 'this cannot be renamed' })
  const claim = await withInputPath(
    'name',
    resolveNameConflict(s, parent, wanted, 'FAIL', entry.id),
  )
  if (entry.kind === 'file') return claim.name
  return { ...claim.name, ...(await updateSubtreePaths(s, entry, parent, claim.name)) }
}

function whatChanged(
  { entry, parent }: ResolvedEntry,
  { entry: _, expectedRevision, ...change }: EntryChange,
) {
  const changed = Object.entries(change).flatMap(([key, value]) => (value === undefined ? [] : key))
  return { changed, ...(change.name != null && { from: pathOf(entry, parent) }) }
}
