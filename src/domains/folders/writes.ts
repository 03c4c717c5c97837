import type { ServiceContext, TxContext } from '../../context.ts'
import type { FolderNameConflictMode } from '../../database/tables.ts'
import { InvalidState } from '../../errors/entries.ts'
import { InvalidInput } from '../../errors/input.ts'
import { record } from '../activity/writes.ts'
import { withInputPath } from '../entries/input-path.ts'
import { checkDepth } from '../entries/paths.ts'
import {
  childByKey,
  type EntryRef,
  type EntryRow,
  type FolderRow,
  requireLiveFolder,
} from '../entries/reads.ts'
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
import { inEntryTransaction } from '../entries/transaction.ts'
import { insertFolder, resolveNameConflict, toWrite } from '../entries/writes.ts'
import { checkMarks, checkTagNames, type TagName } from '../tags/rules.ts'
import { addTags } from '../tags/writes.ts'

type NewFolder = {
  workspaceId?: string | null | undefined
  folder?: EntryRef | null | undefined
  name: string
  description?: string | null | undefined
  tags?: readonly string[] | null | undefined
  metadata?: Record<string, unknown> | null | undefined
  createParents: boolean
  onConflict: FolderNameConflictMode
}

/**
 * Creates a folder in `folder`, or in the root of `workspaceId`. With createParents, a name such as Data/Raw
 * also creates the missing parents. With REUSE, returns the folder if it already exists, so the call can be
 * repeated. Requires role EDITOR and scope FILES_WRITE. Throws NotFound, Forbidden, InvalidInput,
 * NameConflict, InvalidState.
 */
export async function createFolder(ctx: ServiceContext, input: NewFolder): Promise<FolderRow> {
  const ref = refOf(input)
  return inEntryTransaction(ctx, [ref], async (s) => {
    const start = await startOf(s, input, ref)
    const names = namesOf(input)
    const properties = propertiesOf(input)
    checkDepth(depthOf(start) + names.length, ['name'])
    const parent = await ensureFolders(s, start, names.slice(0, -1))
    const requested = names.at(-1) as EntryName
    const resolved = resolveNameConflict(s, parent, requested, input.onConflict)
    const { name, existing } = await withInputPath('name', resolved)
    if (existing) return requireFolder(existing)
    return addFolder(s, parent, name, properties)
  })
}

const propertiesOf = ({ description, metadata, tags }: NewFolder) => ({
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

function refOf({ workspaceId, folder }: NewFolder): EntryRef {
  if (!folder && !workspaceId) {
    throw new InvalidInput({ path: ['workspaceId'], message: 'workspaceId or folder is required' })
  }
  return folder ?? { path: { workspaceId: workspaceId ?? '', path: '' } }
}

async function startOf({ tx, viewer }: TxContext, { folder }: NewFolder, ref: EntryRef) {
  const found = requireLiveFolder(tx, viewer, ref, toWrite)
  return (await withInputPath(folder ? 'folder' : 'workspaceId', found)).entry
}

function requireFolder(existing: EntryRow): FolderRow {
  if (existing.kind === 'folder') return existing
  throw new InvalidState('FILE', 'a file already has this name')
}

/**
 * Returns the folder at the path `names` below `start`, after creating the missing folders. Throws
 * InvalidInput for a name that is not allowed for new folders. If a file has one of the names, throws the
 * error of `asFolder`, by default InvalidState.
 */
export function ensureFolders(
  ctx: TxContext,
  start: FolderRow,
  names: readonly EntryName[],
  asFolder = requireFolder,
): Promise<FolderRow> {
  const add = (folder: FolderRow, name: EntryName) => {
    checkMarks(name.name, ['path'])
    return addFolder(ctx, folder, name)
  }
  return descend(ctx, start, names, { add, asFolder })
}

/**
 * Recreates folders that existed before, without the checks for new names. Throws InvalidInput for a path
 * that is too deep or too long, and InvalidState if a file has one of the names.
 */
export const restoreFolders = (ctx: TxContext, start: FolderRow, names: readonly EntryName[]) =>
  descend(ctx, start, names, {
    add: (folder, name) => addFolder(ctx, folder, name),
    asFolder: requireFolder,
  })

type Descent = {
  add: (folder: FolderRow, name: EntryName) => Promise<FolderRow>
  /** Returns an existing entry if it is a folder, and throws otherwise. */
  asFolder: (existing: EntryRow) => FolderRow
}

async function descend(
  ctx: TxContext,
  start: FolderRow,
  names: readonly EntryName[],
  { add, asFolder }: Descent,
): Promise<FolderRow> {
  let folder = start
  for (const name of names) {
    const child = await childByKey(ctx.tx, folder.id, name.nameKey)
    folder = child ? asFolder(child) : await add(folder, name)
  }
  return folder
}

async function addFolder(
  ctx: TxContext,
  parent: FolderRow,
  name: EntryName,
  { tags = [], ...properties }: Partial<FolderRow> & { tags?: readonly TagName[] } = {},
): Promise<FolderRow> {
  checkDepth(depthOf(parent) + 1, ['path'])
  const folder = await insertFolder(ctx, parent, name, properties)
  await addToAncestors(ctx, folder, parent.id)
  const { workspaceId, id: entryId, path } = folder
  await addTags(ctx, { workspaceId, entryId, tags })
  await record(ctx, { workspaceId, action: 'FOLDER_CREATED', entryId, path })
  return folder
}
