import { inTransaction, type ServiceContext, type TxContext } from '../../context.ts'
import type { NameConflictMode } from '../../database/tables.ts'
import { InvalidInput, InvalidState } from '../../errors.ts'
import { record } from '../activity/writes.ts'
import { withInputPath } from '../entries/input-path.ts'
import { checkDepth } from '../entries/paths.ts'
import { childByKey, type EntryRef, type EntryRow, requireLiveFolder } from '../entries/reads.ts'
import {
  checkDescription,
  checkMetadata,
  checkName,
  checkPath,
  depthOf,
  type EntryName,
  mergeMetadata,
} from '../entries/rules.ts'
import { addToAncestors } from '../entries/totals.ts'
import { insertEntry, placeOfFolder, resolveNameConflict, toWrite } from '../entries/writes.ts'
import { checkMarks, checkTagNames, type TagName } from '../tags/rules.ts'
import { addTags } from '../tags/writes.ts'

type NewFolder = {
  workspaceId?: string | null | undefined
  parent?: EntryRef | null | undefined
  name: string
  description?: string | null | undefined
  tags?: readonly string[] | null | undefined
  metadata?: Record<string, unknown> | null | undefined
  createParents: boolean
  onConflict: NameConflictMode
}

/**
 * A folder in `parent` (else in the root of workspaceId). With createParents a name like Data/Raw makes what is missing of
 * the way. NEW_VERSION answers with the folder that is there, so that the same call can be repeated.
 */
export async function createFolder(ctx: ServiceContext, input: NewFolder): Promise<EntryRow> {
  return inTransaction(ctx, async (s) => {
    const start = await startOf(s, input)
    const names = namesOf(input)
    const facts = factsOf(input)
    checkDepth(depthOf(start) + names.length, ['name'])
    const parent = await ensureFolders(s, start, names.slice(0, -1))
    const wanted = names.at(-1) as EntryName
    const claim = resolveNameConflict(s, parent, wanted, input.onConflict)
    const { name, existing } = await withInputPath('name', claim)
    if (existing) return sameFolder(existing)
    return addFolder(s, parent, name, facts)
  })
}

const factsOf = ({ description, metadata, tags }: NewFolder) => ({
  description: description == null ? null : checkDescription(description),
  metadata: checkMetadata(mergeMetadata({}, metadata ?? {})),
  tags: checkTagNames(tags ?? []),
})

function namesOf({ name, createParents }: NewFolder): EntryName[] {
  const names = createParents && name.includes('/') ? checkPath(name, ['name']) : [checkName(name)]
  const last = names.at(-1)
  if (last) checkMarks(last.name, ['name'])
  return names
}

async function startOf({ tx, viewer }: TxContext, { workspaceId, parent }: NewFolder) {
  if (!parent && !workspaceId) {
    throw new InvalidInput({ path: ['workspaceId'], message: 'name a workspace or a parent' })
  }
  const ref = parent ?? { path: { workspaceId: workspaceId ?? '', path: '' } }
  const found = requireLiveFolder(tx, viewer, ref, toWrite)
  return (await withInputPath(parent ? 'parent' : 'workspaceId', found)).entry
}

function sameFolder(existing: EntryRow): EntryRow {
  if (existing.kind === 'folder') return existing
  throw new InvalidState('FILE', 'a file has this name')
}

/** Walks down from `start`, making the folders that are not there; the last one. InvalidInput for a name that no new folder gets. */
export function ensureFolders(
  s: TxContext,
  start: EntryRow,
  names: readonly EntryName[],
): Promise<EntryRow> {
  return foldersBelow(s, start, names, (folder, name) => {
    checkMarks(name.name, ['path'])
    return addFolder(s, folder, name)
  })
}

/** Makes folders again that were there before: they have the names that they had, whatever new names must be like. */
export const restoreFolders = (s: TxContext, start: EntryRow, names: readonly EntryName[]) =>
  foldersBelow(s, start, names, (folder, name) => addFolder(s, folder, name))

async function foldersBelow(
  s: TxContext,
  start: EntryRow,
  names: readonly EntryName[],
  add: (folder: EntryRow, name: EntryName) => Promise<EntryRow>,
): Promise<EntryRow> {
  let folder = start
  for (const name of names) {
    const child = await childByKey(s.tx, folder.id, name.nameKey)
    folder = child ? sameFolder(child) : await add(folder, name)
  }
  return folder
}

async function addFolder(
  s: TxContext,
  parent: EntryRow,
  name: EntryName,
  { tags = [], ...facts }: Partial<EntryRow> & { tags?: readonly TagName[] } = {},
): Promise<EntryRow> {
  checkDepth(depthOf(parent) + 1, ['path'])
  const folder = await insertEntry(s, { ...facts, ...placeOfFolder(parent, name) })
  await addToAncestors(s, folder, parent.id)
  const { workspaceId, id: entryId, path } = folder
  await addTags(s, { workspaceId, entryId, tags })
  await record(s, { workspaceId, action: 'FOLDER_CREATED', entryId, path })
  return folder
}
