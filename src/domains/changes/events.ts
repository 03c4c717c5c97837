import type { Row } from '../../database/tables.ts'
import { NotFound } from '../../errors/access.ts'
import { SyncCursorExpired } from '../../errors/input.ts'
import type { ActivityAction } from '../activity/rules.ts'
import type { SyncPosition } from '../activity/sync-cursor.ts'
import type { EntryRow } from '../entries/reads.ts'
import type { UploadRow } from '../uploads/rules.ts'

/** One change for a client. Entries and uploads are in their current state, not in that of the event. */
export type Change =
  | { kind: 'upserted'; entry: EntryRow; action: ActivityAction }
  | { kind: 'removed'; entryId: string; lastPath: string; action: ActivityAction }
  | { kind: 'upload'; upload: UploadRow }

/** An error that ends a stream of changes. The client receives it as the last item. */
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

/**
 * Returns the id of the entry that an event changed, or null: events of downloads, members and links change
 * no entry.
 */
export const changedEntryId = ({ action, entryId }: Event) =>
  entryActions.has(action) ? entryId : null

/** Returns the id of the upload in the details of an event, or null. */
export const uploadIdOf = ({ action, details }: Event): string | null =>
  uploadActions.has(action) ? ((JSON.parse(details).uploadId as string | undefined) ?? null) : null

/** Returns whether an event may come from the confirm of an upload. */
export const mayComeFromUpload = ({ action, entryId }: Event) =>
  confirmActions.has(action) && entryId

/**
 * Returns the upload that caused an event, among the confirmed uploads of its file (oldest first), or null. A
 * version that was copied from another file has no upload.
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
 * Returns whether the subtree of a folder must be sent: always after a restore or copy, and after a move up
 * to `resendUntil`, because the client may not have it.
 */
function requiresScan({ seq, action, details }: Event, resendUntil: number): boolean {
  if (action === 'ENTRY_RESTORED' || action === 'ENTRY_COPIED') return true
  if (seq > resendUntil) return false
  return action === 'ENTRY_MOVED' || (action === 'ENTRY_UPDATED' && 'from' in JSON.parse(details))
}

const removals = new Set(['ENTRY_TRASHED', 'ENTRY_PURGED'])

type CurrentState = { isLive: boolean; lastSeq: number }

/**
 * Returns the position of a client after an event. A restored or copied folder is scanned next. Entries are
 * sent in their current state: if the folder of the event is no longer live, and the event is not its
 * removal, then the client receives the removal early and drops the whole subtree, including entries that
 * later events move out of it. For this reason all folders that move up to `lastSeq` are then sent with their
 * subtrees. This also covers the scan of a folder that is no longer live.
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
