import type { ServiceContext } from '../../context.ts'
import { SyncCursorExpired } from '../../errors.ts'
import { readCursor, type SyncPosition } from '../activity/sync-cursor.ts'
import { requireAccess, type WorkspaceRow } from '../workspaces/reads.ts'
import type { Change } from './events.ts'
import { readEvents } from './log.ts'
import { readSnapshot } from './snapshot.ts'

/** What reading the changes of a workspace asks of the viewer: what reading its files does. */
const toRead = { scope: 'FILES_READ' } as const
/** So often the rows are asked before a batch goes out as it is, be it empty: what is long and tells nothing costs no more. */
const MOST_LOOKS = 10

export type Batch = {
  workspaceId: string
  changes: Change[]
  /** Where the next batch begins. */
  place: SyncPosition
  hasMore: boolean
}

/**
 * What happened in a workspace behind `place`, at most `most` events or entries of it; without a place everything that lives in
 * it. The newest state of things, in the order in which they happened. Throws NotFound, Forbidden, SyncCursorExpired.
 */
export async function changesAfter(
  { db, viewer, now }: ServiceContext,
  workspaceId: string,
  from: SyncPosition | null,
  most: number,
): Promise<Batch> {
  const workspace = await requireAccess(db, viewer, workspaceId, toRead)
  const changes: Change[] = []
  let place = from ?? beginningOf(workspace)
  if (place.seq > workspace.lastSeq) throw new SyncCursorExpired()
  for (let looks = 0; looks < MOST_LOOKS && changes.length < most; looks++) {
    if (!isBehind(place, workspace)) break
    const { walk } = place
    const room = most - changes.length
    const reading = { db, workspace, now }
    const told = walk
      ? await readSnapshot(reading, { ...place, walk }, room)
      : await readEvents(reading, place, room)
    changes.push(...told.changes)
    place = told.place
  }
  return { workspaceId, changes, place, hasMore: isBehind(place, workspace) }
}

const isBehind = ({ seq, walk }: SyncPosition, { lastSeq }: WorkspaceRow) =>
  walk !== null || seq < lastSeq

/** All that is there now, and from here on the log. */
const beginningOf = ({ lastSeq }: WorkspaceRow): SyncPosition => ({
  seq: lastSeq,
  owedUntil: 0,
  walk: { of: 'workspace', at: null },
})

/** The place of a cursor that a client was given for this workspace; SyncCursorExpired. */
export const placeOf = (
  { signingKeys }: ServiceContext,
  workspaceId: string,
  cursor: string,
): SyncPosition => readCursor(signingKeys, workspaceId, cursor)

/** Where a workspace stands now: only what happens next is behind it. */
export async function placeNow(
  { db, viewer }: ServiceContext,
  workspaceId: string,
): Promise<SyncPosition> {
  const { lastSeq } = await requireAccess(db, viewer, workspaceId, toRead)
  return { seq: lastSeq, owedUntil: 0, walk: null }
}
