import type { Row } from '../../database/tables.ts'
import { NotFound, SyncCursorExpired } from '../../errors.ts'
import type { ActivityAction } from '../activity/rules.ts'
import type { SyncPosition } from '../activity/sync-cursor.ts'
import type { EntryRow } from '../entries/reads.ts'
import type { UploadRow } from '../uploads/rules.ts'

/** One change for a client. Entries and uploads are in their current state, not in that of the event. */
export type Change =
  | { kind: 'upserted'; entry: EntryRow; action: ActivityAction }
  | { kind: 'removed'; entryId: string; lastPath: string; action: ActivityAction }
  | { kind: 'upload'; upload: UploadRow }

/** An error that ends a stream of changes, and that the client receives as its last item. */
export type StreamEnd = NotFound | SyncCursorExpired

/** Returns whether a value is an error that ends a stream of changes. */
export const isStreamEnd = (value: unknown): value is StreamEnd =>
  value instanceof NotFound || value instanceof SyncCursorExpired

/** The columns of a log event that concern an entry or an upload. */
export type Event = Pick<Row<'activity'>, 'seq' | 'action' | 'entryId' | 'path' | 'at' | 'details'>

const entryActions = new Set([
  'FOLDER_CREATED',
  'FILE_CREATED',
  'VERSION_ADDED',
  'VERSION_RESTORED',
  'FILE_DAMAGED',
  'FILE_RECOVERED',
  'ENTRY_UPDATED',
  'ENTRY_MOVED',
  'ENTRY_COPIED',
  'ENTRY_TRASHED',
  'ENTRY_RESTORED',
  'ENTRY_PURGED',
])
const uploadActions = new Set(['UPLOAD_CREATED', 'UPLOAD_FAILED'])
const confirmActions = new Set(['FILE_CREATED', 'VERSION_ADDED'])

/** Returns the id of the entry that an event changed, or null: downloads, members and links change none. */
export const changedEntryId = ({ action, entryId }: Event) =>
  entryActions.has(action) ? entryId : null

/** Returns the id of the upload in the details of an event, or null. */
export const uploadIdOf = ({ action, details }: Event): string | null =>
  uploadActions.has(action) ? ((JSON.parse(details).uploadId as string | undefined) ?? null) : null

/** Returns whether an event may come from the confirm of an upload. */
export const mayComeFromUpload = ({ action, entryId }: Event) =>
  confirmActions.has(action) && entryId

/**
 * Returns which of the confirmed uploads of a file, oldest first, caused an event, or null. A restored
 * version comes from no upload.
 */
export function findSourceUpload({ action, details }: Event, uploads: readonly UploadRow[]) {
  if (action === 'FILE_CREATED') return uploads[0] ?? null
  const { versionId } = JSON.parse(details)
  return uploads.find((upload) => upload.versionId === versionId) ?? null
}

/** Returns whether an event causes a change for clients. */
export const isRelevant = (event: Event) =>
  changedEntryId(event) !== null || uploadActions.has(event.action)

/**
 * Returns whether the subtree of a folder must be sent, because a client does not or may not have it
 * (`resendUntil`).
 */
function requiresScan({ seq, action, details }: Event, resendUntil: number): boolean {
  if (action === 'ENTRY_RESTORED' || action === 'ENTRY_COPIED') return true
  if (seq > resendUntil) return false
  return action === 'ENTRY_MOVED' || (action === 'ENTRY_UPDATED' && 'from' in JSON.parse(details))
}

const removals = new Set(['ENTRY_TRASHED', 'ENTRY_PURGED'])

type CurrentState = { isLive: boolean; lastSeq: number }

/**
 * Returns the position of a client after an event. A restored or copied folder is scanned. Entries are sent
 * in their current state, so a client may receive a removal before the event that it belongs to; it then
 * drops the whole subtree, including entries that have since moved out of it. Therefore, whenever that is
 * possible, and whenever the folder of a due scan no longer exists, all folders that move up to `lastSeq` are
 * sent with their subtrees.
 */
export function positionAfter(
  position: SyncPosition,
  event: Event,
  { isLive, lastSeq }: CurrentState,
): SyncPosition {
  const next: SyncPosition = { ...position, seq: event.seq }
  if (!changedEntryId(event)?.startsWith('fld_')) return next
  if (!isLive) return removals.has(event.action) ? next : { ...next, resendUntil: lastSeq }
  if (!requiresScan(event, position.resendUntil)) return next
  return { ...next, scan: { of: 'event', at: null } }
}
