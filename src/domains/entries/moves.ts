import type { Scope, TxScope } from '../../context.ts'
import type { NameConflictMode } from '../../database/tables.ts'
import { Cycle, InvalidInput, NotFound } from '../../errors.ts'
import { record } from '../activity/writes.ts'
import { type BatchEntry, type BatchMode, batch, type Outcome } from './batch.ts'
import { inField } from './input-path.ts'
import { refuseTooDeep, repath } from './paths.ts'
import {
  childByKey,
  type EntryRef,
  type EntryRow,
  pathOf,
  requireLive,
  requireLiveFolder,
} from './reads.ts'
import { isWithin } from './rules.ts'
import { countIn, countOut } from './totals.ts'
import { checkRevision, claimName, refuseRoot, touchEntry, toWrite } from './writes.ts'

type Moves = {
  entries: readonly BatchEntry[]
  destination: EntryRef
  onConflict: NameConflictMode
  mode: BatchMode
}

/** Moves entries into a folder of the same workspace. */
export async function moveEntries(
  scope: Scope,
  { entries, destination, onConflict, mode }: Moves,
): Promise<Outcome[]> {
  if (onConflict === 'NEW_VERSION') {
    const message = 'moving makes no versions: FAIL, RENAME or REPLACE'
    throw new InvalidInput({ path: ['onConflict'], message })
  }
  await inField('destination', requireLiveFolder(scope.db, scope.viewer, destination, toWrite))
  return batch(scope, entries, mode, (s, item) => moveEntry(s, item, destination, onConflict))
}

async function moveEntry(
  s: TxScope,
  item: BatchEntry,
  destination: EntryRef,
  onConflict: NameConflictMode,
): Promise<EntryRow> {
  const { entry, parent, folder } = await wayOf(s, item, destination)
  if (parent.id === folder.id) return entry
  if (onConflict === 'REPLACE') await refuseReplacingAbove(s, { entry, parent, folder })
  const { name } = await claimName(s, folder, entry, onConflict)
  await countOut(s, entry, parent.id)
  const place = entry.kind === 'folder' ? await repath(s, entry, folder, name) : {}
  const { name: shown, nameKey } = name
  const moved = await touchEntry(s, entry.id, {
    name: shown,
    nameKey,
    ...place,
    parentId: folder.id,
  })
  await countIn(s, moved, folder.id)
  await record(s, {
    workspaceId: entry.workspaceId,
    action: 'ENTRY_MOVED',
    entryId: entry.id,
    path: pathOf(moved, folder),
    details: { from: pathOf(entry, parent) },
  })
  return moved
}

/** What goes, from where, to where. */
export type Way = { entry: EntryRow; parent: EntryRow; folder: EntryRow }

/** Looks up what is to be moved or copied, and refuses what cannot be: the root, another workspace, below itself, too deep. */
export async function wayOf(
  s: TxScope,
  { entry: ref, expectedRevision }: BatchEntry,
  destination: EntryRef,
): Promise<Way> {
  const { entry, parent } = await requireLive(s.tx, s.viewer, ref, toWrite)
  const { entry: folder } = await requireLiveFolder(s.tx, s.viewer, destination, toWrite)
  refuseRoot(entry)
  if (!parent) throw new NotFound(entry.id)
  checkRevision(entry, expectedRevision)
  if (entry.workspaceId !== folder.workspaceId) {
    const message = 'the destination is in another workspace'
    throw new InvalidInput({ path: ['destination'], message })
  }
  if (entry.kind === 'folder' && isWithin(folder, entry)) throw new Cycle()
  if (entry.kind === 'folder' && parent.id !== folder.id) await refuseTooDeep(s, entry, folder)
  return { entry, parent, folder }
}

/** What comes out of a folder cannot replace that folder: Cycle. */
export async function refuseReplacingAbove(
  s: TxScope,
  { entry, parent, folder }: Way,
): Promise<void> {
  const standing = await childByKey(s.tx, folder.id, entry.nameKey)
  if (standing?.kind === 'folder' && isWithin(parent, standing)) throw new Cycle()
}
