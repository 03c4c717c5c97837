import type { Row } from '../../database/tables.ts'
import { NotFound, SyncCursorExpired } from '../../errors.ts'
import type { ActivityAction } from '../activity/rules.ts'
import type { SyncPosition } from '../activity/sync-cursor.ts'
import type { EntryRow } from '../entries/reads.ts'
import type { UploadRow } from '../uploads/rules.ts'

/** One thing that a client has to know; entries and uploads are told as they are now, not as they were then. */
export type Change =
  | { kind: 'upserted'; entry: EntryRow; action: ActivityAction }
  | { kind: 'removed'; entryId: string; lastPath: string; action: ActivityAction }
  | { kind: 'upload'; upload: UploadRow }

/** What ends the telling, and is told as the last of it. */
export type End = NotFound | SyncCursorExpired
export const isEnd = (told: unknown): told is End =>
  told instanceof NotFound || told instanceof SyncCursorExpired

/** An event of the log that says something of an entry or of an upload. */
export type Event = Pick<Row<'activity'>, 'seq' | 'action' | 'entryId' | 'path' | 'at' | 'details'>

const onEntries = new Set([
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
const onUploads = new Set(['UPLOAD_CREATED', 'UPLOAD_FAILED'])
const byUploads = new Set(['FILE_CREATED', 'VERSION_ADDED'])

/** The entry that an event concerns; null for what changes none: downloads, members, links. */
export const entryOf = ({ action, entryId }: Event) => (onEntries.has(action) ? entryId : null)

/** The upload that an event names itself. */
export const uploadNamed = ({ action, details }: Event): string | null =>
  onUploads.has(action) ? ((JSON.parse(details).uploadId as string | undefined) ?? null) : null

/** Whether a confirmed upload may have done this. */
export const maybeByUpload = ({ action, entryId }: Event) => byUploads.has(action) && entryId

/** Of the confirmed uploads of a file, oldest first, the one that an event came from; a restored version came from none. */
export function uploadBehind({ action, details }: Event, uploads: readonly UploadRow[]) {
  if (action === 'FILE_CREATED') return uploads[0] ?? null
  const { versionId } = JSON.parse(details)
  return uploads.find((upload) => upload.versionId === versionId) ?? null
}

export const isTold = (event: Event) => entryOf(event) !== null || onUploads.has(event.action)

/** Whether what lies below a folder has to be told with it: a client has it not, or may have it not (`owedUntil`). */
function asksForWalk({ seq, action, details }: Event, owedUntil: number): boolean {
  if (action === 'ENTRY_RESTORED' || action === 'ENTRY_COPIED') return true
  if (seq > owedUntil) return false
  return action === 'ENTRY_MOVED' || (action === 'ENTRY_UPDATED' && 'from' in JSON.parse(details))
}

const removals = new Set(['ENTRY_TRASHED', 'ENTRY_PURGED'])

type Now = { lives: boolean; lastSeq: number }

/**
 * Where a client stands once it was told of an event. A folder that came back, or was copied, is walked through. Entries are
 * told as they are now, so a removal may be told before the event that it is due to; the client drops all below the folder,
 * and with it what has left the folder in the meantime. Therefore, whenever that can be, and whenever a walk was due to a folder
 * that is gone again, the folders that move until now (`lastSeq`) are told with all they hold.
 */
export function placeAfter(
  place: SyncPosition,
  event: Event,
  { lives, lastSeq }: Now,
): SyncPosition {
  const passed: SyncPosition = { ...place, seq: event.seq }
  if (!entryOf(event)?.startsWith('fld_')) return passed
  if (!lives) return removals.has(event.action) ? passed : { ...passed, owedUntil: lastSeq }
  if (!asksForWalk(event, place.owedUntil)) return passed
  return { ...passed, walk: { of: 'event', at: null } }
}
