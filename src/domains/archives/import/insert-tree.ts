import { setImmediate as yieldToEventLoop } from 'node:timers/promises'
import type { TxContext } from '../../../context.ts'
import type { NameConflictMode } from '../../../database/tables.ts'
import { afterCommit } from '../../../database/transaction.ts'
import { NameConflict } from '../../../errors/entries.ts'
import type { FolderRow } from '../../entries/reads.ts'
import { checkEntryPath, type EntryName } from '../../entries/rules.ts'
import { resolveNameConflict, updateEntry } from '../../entries/writes.ts'
import type { Blob } from '../../files/blobs.ts'
import type { Media } from '../../files/media.ts'
import { addFile, addVersion, type FileResult } from '../../files/writes.ts'
import { ensureFolders } from '../../folders/writes.ts'
import { checkTagNames } from '../../tags/rules.ts'
import type { ImportItem } from './import-items.ts'

type StagedVersion = {
  blob: Blob
  number: number
  comment: string | null
  contentModifiedAt: number | null
}

/** An import item whose bytes are committed to the store. */
export type StagedItem = Omit<ImportItem, 'versions'> & {
  versions: (Media & StagedVersion)[]
}
type InsertTreeInput = {
  items: AsyncGenerator<StagedItem>
  destination: FolderRow
  onConflict: NameConflictMode
}
/** The folders that were created or found so far. Name conflicts are possible only at the first level. */
type TreeState = Omit<InsertTreeInput, 'items'> & {
  topFolders: Map<string, FolderRow>
  last: { path: string; folder: FolderRow } | null
}

/** The transaction is long, so it yields to the event loop after this many entries. */
const YIELD_EVERY_ENTRIES = 50

/**
 * Inserts the rows of a tree whose bytes are already committed. Throws NameConflict, QuotaExceeded,
 * InvalidInput, InvalidState.
 */
export async function insertTree(
  s: TxContext,
  { items, ...where }: InsertTreeInput,
): Promise<{ folder: FolderRow; entryCount: number }> {
  const state: TreeState = { ...where, topFolders: new Map(), last: null }
  let entryCount = 0
  for await (const item of items) {
    await (item.kind === 'folder' ? insertFolder(s, state, item) : insertFile(s, state, item))
    if (++entryCount % YIELD_EVERY_ENTRIES === 0) await yieldToEventLoop()
  }
  return { folder: where.destination, entryCount }
}

async function insertFolder(s: TxContext, state: TreeState, item: StagedItem) {
  const { id } = await folderAt(s, state, checkEntryPath(item.path))
  const { description, tags, metadata } = item
  if (description === null && tags.length === 0 && Object.keys(metadata).length === 0) return
  await updateEntry(s, {
    entry: { id },
    ...(description !== null && { description }),
    ...{ tags, metadata },
  })
}

async function insertFile(s: TxContext, state: TreeState, item: StagedItem) {
  const names = checkEntryPath(item.path)
  const name = names.at(-1)
  const [first, ...others] = item.versions
  if (!name || !first) return
  const folder = await folderAt(s, state, names.slice(0, -1))
  let filed = await addFile(s, {
    ...first,
    folder,
    name,
    onConflict: state.onConflict,
    description: item.description,
    tags: checkTagNames(item.tags),
    metadata: item.metadata,
  })
  removeDuplicateBlob(s, filed, first.blob)
  for (const version of others) {
    filed = await addVersion(s, { ...version, file: filed.file, parent: folder })
    removeDuplicateBlob(s, filed, version.blob)
  }
}

/** Removes the blob after the commit if the workspace already had one with the same content. */
function removeDuplicateBlob(s: TxContext, { ownBlobUsed }: FileResult, { id }: Blob) {
  if (!ownBlobUsed) afterCommit(s.tx, () => s.blobs.remove(id).catch(() => {}))
}

async function folderAt(s: TxContext, state: TreeState, names: EntryName[]): Promise<FolderRow> {
  const [top, ...below] = names
  if (!top) return state.destination
  const path = names.map(({ nameKey }) => nameKey).join('/')
  if (state.last?.path === path) return state.last.folder
  const folder = await ensureFolders(s, await topFolder(s, state, top), below)
  state.last = { path, folder }
  return folder
}

async function topFolder(s: TxContext, state: TreeState, requested: EntryName): Promise<FolderRow> {
  const known = state.topFolders.get(requested.nameKey)
  if (known) return known
  const { name, existing } = await resolveNameConflict(
    s,
    state.destination,
    requested,
    state.onConflict,
  )
  if (existing?.kind === 'file') {
    throw new NameConflict({ ...name, existingId: existing.id, suggestedName: `${name.name} (2)` })
  }
  const folder = existing ?? (await ensureFolders(s, state.destination, [name]))
  state.topFolders.set(requested.nameKey, folder)
  return folder
}
