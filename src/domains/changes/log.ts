import type { Db } from '../../database/database.ts'
import { SyncCursorExpired } from '../../errors.ts'
import { eventsAfter, lastSeqOf } from '../activity/reads.ts'
import type { ActivityAction } from '../activity/rules.ts'
import type { SyncPosition } from '../activity/sync-cursor.ts'
import { type EntryRow, entriesById, trashRootOf } from '../entries/reads.ts'
import type { AccessibleWorkspace } from '../workspaces/reads.ts'
import { type Change, type Event, entryOf, isTold, placeAfter } from './events.ts'
import { uploadsOf } from './uploads.ts'

type Reading = { db: Db; workspace: AccessibleWorkspace; now: () => number }
type Told = { changes: Change[]; place: SyncPosition }

/** So far back a SyncCursor can ask. */
export const CURSOR_DAYS = 90
const DAY_MS = 86_400_000

/** So many events are looked at in one go, whether or not they have something to tell. */
const EVENTS_AT_ONCE = 200

/**
 * What the log says behind `place`, for at most `room` events; ends early where one asks for a walk. Throws SyncCursorExpired
 * where what comes next is older than CURSOR_DAYS: the log keeps it, but a snapshot tells it shorter.
 */
export async function readEvents(
  reading: Reading,
  place: SyncPosition,
  room: number,
): Promise<Told> {
  const { db, workspace, now } = reading
  const events = await eventsAfter(db, workspace.id, place.seq, EVENTS_AT_ONCE)
  const [next] = events
  if (next?.seq !== place.seq + 1 || isOld(next, now())) throw new SyncCursorExpired()
  const facts = await factsOf(reading, upTo(room, events))
  const told: Told = { changes: [], place }
  for (const event of facts.events) {
    told.changes.push(...changesOf(event, facts))
    const lives = facts.living.has(event.entryId ?? '')
    told.place = placeAfter(told.place, event, { lives, lastSeq: facts.lastSeq })
    if (told.place.walk) break
  }
  return told
}

const isOld = ({ at }: Event, now: number) => at < now - CURSOR_DAYS * DAY_MS

/** The first events, of which at most `room` have something to tell. */
function upTo<E extends Event>(room: number, events: E[]): E[] {
  const telling = events.filter(isTold)
  const last = telling[room - 1]
  return last ? events.slice(0, events.indexOf(last) + 1) : events
}

type Facts = Awaited<ReturnType<typeof factsOf>>

/** The number of the last event is read last: whatever is seen here has happened by then. */
async function factsOf({ db, workspace }: Reading, events: Event[]) {
  const isMember = workspace.viewerRole !== null
  const living = await livingOf(db, new Set(events.flatMap((event) => entryOf(event) ?? [])))
  // As in the list of a workspace's uploads: they are the members' business.
  const uploads = isMember ? await uploadsOf(db, events) : new Map()
  return { events, isMember, living, uploads, lastSeq: await lastSeqOf(db, workspace.id) }
}

async function livingOf(db: Db, ids: Set<string>): Promise<Map<string, EntryRow>> {
  if (ids.size === 0) return new Map()
  const entries = (await entriesById(db, [...ids])).filter((entry) => entry !== null)
  const parentIds = new Set(
    entries.flatMap(({ kind, parentId }) => (kind === 'file' && parentId) || []),
  )
  const parents = parentIds.size > 0 ? await entriesById(db, [...parentIds]) : []
  const byId = new Map(parents.map((parent) => [parent?.id, parent]))
  const living = entries.filter((entry) => {
    const parent = byId.get(entry.parentId ?? '') ?? null
    return trashRootOf(entry, parent) === null && (entry.kind === 'folder' || parent)
  })
  return new Map(living.map((entry) => [entry.id, entry]))
}

function changesOf(event: Event, { living, uploads, isMember }: Facts): Change[] {
  const upload = uploads.get(event.seq)
  const told: Change[] = upload ? [{ kind: 'upload', upload }] : []
  const entryId = entryOf(event)
  if (!entryId) return told
  const action = event.action as ActivityAction
  const entry = living.get(entryId)
  if (entry) return [{ kind: 'upserted', entry, action }, ...told]
  // What was in a workspace before everybody might read it, and where, is not for everybody.
  const lastPath = isMember ? (event.path ?? '') : ''
  return [{ kind: 'removed', entryId, lastPath, action }, ...told]
}
