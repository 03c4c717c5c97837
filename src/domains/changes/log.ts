import type { Db } from '../../database/database.ts'
import { SyncCursorExpired } from '../../errors/input.ts'
import { eventsAfter, lastSeqOf } from '../activity/reads.ts'
import type { ActivityAction } from '../activity/rules.ts'
import type { SyncPosition } from '../activity/sync-cursor.ts'
import { type EntryRow, entriesWithParents, trashRootOf } from '../entries/reads.ts'
import type { AccessibleWorkspace } from '../workspaces/reads.ts'
import { type Change, changedEntryId, type Event, isRelevant, positionAfter } from './events.ts'
import { uploadsBySeq } from './uploads.ts'

type ReadContext = { db: Db; workspace: AccessibleWorkspace; now: () => number }
type ReadResult = { changes: Change[]; position: SyncPosition }

/** Number of days for which a SyncCursor is valid. */
export const CURSOR_DAYS = 90
const DAY_MS = 86_400_000

/** Maximum number of events that one call reads, including those that cause no change. */
const BATCH_SIZE = 200

/**
 * Returns the changes of at most `limit` relevant events after `position`. Stops early at an event that
 * requires a scan. Throws SyncCursorExpired if the next event is missing or older than CURSOR_DAYS: the log
 * keeps older events, but a snapshot is then shorter.
 */
export async function readEvents(
  ctx: ReadContext,
  position: SyncPosition,
  limit: number,
): Promise<ReadResult> {
  const { db, workspace, now } = ctx
  const events = await eventsAfter(db, workspace.id, position.seq, BATCH_SIZE)
  const [next] = events
  if (next?.seq !== position.seq + 1 || isExpired(next, now())) throw new SyncCursorExpired()
  const state = await loadState(ctx, takeRelevant(limit, events))
  const result: ReadResult = { changes: [], position }
  for (const event of state.events) {
    result.changes.push(...changesOf(event, state))
    const isLive = state.live.has(event.entryId)
    result.position = positionAfter(result.position, event, { isLive, lastSeq: state.lastSeq })
    if (result.position.scan) break
  }
  return result
}

const isExpired = ({ at }: Event, now: number) => at < now - CURSOR_DAYS * DAY_MS

/** Returns the first events, up to and including the `limit`th relevant one. */
function takeRelevant<E extends Event>(limit: number, events: E[]): E[] {
  const last = events.filter(isRelevant)[limit - 1]
  return last ? events.slice(0, events.indexOf(last) + 1) : events
}

type State = Awaited<ReturnType<typeof loadState>>

/**
 * Loads the current state of what the events changed. lastSeq is read last, so it covers every state that was
 * read.
 */
async function loadState({ db, workspace }: ReadContext, events: Event[]) {
  const isMember = workspace.viewerRole !== null
  const changedIds = events.flatMap((event) => changedEntryId(event) ?? [])
  const live = await loadLive(db, changedIds)
  // Only members see uploads, as in Workspace.uploads.
  const uploads = isMember ? await uploadsBySeq(db, events) : new Map()
  return { events, isMember, live, uploads, lastSeq: await lastSeqOf(db, workspace.id) }
}

/** Returns the entries among `ids` that exist and are not in the trash, by id. */
async function loadLive(db: Db, ids: string[]): Promise<Map<string | null, EntryRow>> {
  const live = (await entriesWithParents(db, ids)).filter(
    ({ entry, parent }) =>
      trashRootOf(entry, parent) === null && (entry.kind === 'folder' || parent),
  )
  return new Map(live.map(({ entry }) => [entry.id, entry]))
}

function changesOf(event: Event, { live, uploads, isMember }: State): Change[] {
  const upload = uploads.get(event.seq)
  const uploadChanges: Change[] = upload ? [{ kind: 'upload', upload }] : []
  const entryId = changedEntryId(event)
  if (!entryId) return uploadChanges
  const action = event.action as ActivityAction
  const entry = live.get(entryId)
  if (entry) return [{ kind: 'upserted', entry, action }, ...uploadChanges]
  // The event may date from before the workspace became PUBLIC, so only members see its path.
  const lastPath = isMember ? (event.path ?? '') : ''
  return [{ kind: 'removed', entryId, lastPath, action }, ...uploadChanges]
}
