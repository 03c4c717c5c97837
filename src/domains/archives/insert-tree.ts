import { setImmediate as breathe } from 'node:timers/promises'
import type { TxContext } from '../../context.ts'
import type { NameConflictMode } from '../../database/tables.ts'
import { afterCommit } from '../../database/transaction.ts'
import { NameConflict } from '../../errors.ts'
import type { EntryRow } from '../entries/reads.ts'
import { checkEntryPath, type EntryName } from '../entries/rules.ts'
import { resolveNameConflict, updateEntry } from '../entries/writes.ts'
import type { Blob } from '../files/blobs.ts'
import type { Media } from '../files/media.ts'
import { addFile, addVersion, type FileResult } from '../files/writes.ts'
import { ensureFolders } from '../folders/writes.ts'
import { checkTagNames } from '../tags/rules.ts'
import type { ImportItem } from './import-items.ts'

/** The same with its bytes in place. */
export type StagedItem = Omit<ImportItem, 'versions'> & {
  versions: (Media & { blob: Blob; number: number; comment: string | null })[]
}
type Planting = {
  items: AsyncGenerator<StagedItem>
  destination: EntryRow
  onConflict: NameConflictMode
}
/** What the entries of the first level have become; below them nothing stands in the way. */
type Ground = Omit<Planting, 'items'> & {
  tops: Map<string, EntryRow>
  last: { path: string; folder: EntryRow } | null
}

/** The transaction is long; what needs no rows goes on meanwhile. */
const BREATHE_EVERY = 50

/** Makes the rows of a tree whose bytes are kept already. Throws NameConflict, QuotaExceeded, InvalidInput, InvalidState. */
export async function insertTree(
  s: TxContext,
  { items, ...where }: Planting,
): Promise<{ folder: EntryRow; entryCount: number }> {
  const ground: Ground = { ...where, tops: new Map(), last: null }
  let entryCount = 0
  for await (const item of items) {
    await (item.kind === 'folder' ? plantFolder(s, ground, item) : plantFile(s, ground, item))
    if (++entryCount % BREATHE_EVERY === 0) await breathe()
  }
  return { folder: where.destination, entryCount }
}

async function plantFolder(s: TxContext, ground: Ground, item: StagedItem) {
  const { id } = await folderAt(s, ground, checkEntryPath(item.path))
  const { description, tags, metadata } = item
  if (description === null && tags.length === 0 && Object.keys(metadata).length === 0) return
  await updateEntry(s, {
    entry: { id },
    ...(description !== null && { description }),
    ...{ tags, metadata },
  })
}

async function plantFile(s: TxContext, ground: Ground, item: StagedItem) {
  const names = checkEntryPath(item.path)
  const name = names.at(-1)
  const [first, ...others] = item.versions
  if (!name || !first) return
  const folder = await folderAt(s, ground, names.slice(0, -1))
  let filed = await addFile(s, {
    ...first,
    folder,
    name,
    onConflict: ground.onConflict,
    description: item.description,
    tags: checkTagNames(item.tags),
    metadata: item.metadata,
  })
  dropTwin(s, filed, first.blob)
  for (const version of others) {
    filed = await addVersion(s, { ...version, file: filed.file, parent: folder })
    dropTwin(s, filed, version.blob)
  }
}

/** The workspace had the same bytes already. */
function dropTwin(s: TxContext, { ownBlobUsed }: FileResult, { id }: Blob) {
  if (!ownBlobUsed) afterCommit(s.tx, () => s.blobs.remove(id).catch(() => {}))
}

async function folderAt(s: TxContext, ground: Ground, names: EntryName[]): Promise<EntryRow> {
  const [top, ...below] = names
  if (!top) return ground.destination
  const path = names.map(({ nameKey }) => nameKey).join('/')
  if (ground.last?.path === path) return ground.last.folder
  const folder = await ensureFolders(s, await topFolder(s, ground, top), below)
  ground.last = { path, folder }
  return folder
}

async function topFolder(s: TxContext, ground: Ground, wanted: EntryName): Promise<EntryRow> {
  const known = ground.tops.get(wanted.nameKey)
  if (known) return known
  const { name, existing } = await resolveNameConflict(
    s,
    ground.destination,
    wanted,
    ground.onConflict,
  )
  if (existing?.kind === 'file') {
    throw new NameConflict({ ...name, existingId: existing.id, suggestedName: `${name.name} (2)` })
  }
  const folder = existing ?? (await ensureFolders(s, ground.destination, [name]))
  ground.tops.set(wanted.nameKey, folder)
  return folder
}
