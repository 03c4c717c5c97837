import type { ServiceContext } from '../../context.ts'
import { SyncCursorExpired } from '../../errors/input.ts'
import { decodeSyncCursor, type SyncPosition } from '../activity/sync-cursor.ts'
import { requireAccess, type WorkspaceRow } from '../workspaces/reads.ts'
import type { Change } from './events.ts'
import { readEvents } from './log.ts'
import { readSnapshot } from './snapshot.ts'

const readAccess = { scope: 'FILES_READ' } as const
/**
 * Maximum number of reads for one batch. Limits the cost of a log without relevant events; the batch may then
 * be empty.
 */
const MAX_READS = 10

export type Batch = {
  workspaceId: string
  changes: Change[]
  /** The position after this batch. */
  position: SyncPosition
  hasMore: boolean
}

/**
 * Returns the changes of a workspace after a position, from at most `limit` events or entries, in the order
 * of the log and with the current state of each object. Without a position, starts a snapshot of all entries
 * outside the trash. Throws NotFound, Forbidden, SyncCursorExpired.
 */
export async function changesAfter(
  { db, viewer, now }: ServiceContext,
  workspaceId: string,
  from: SyncPosition | null,
  limit: number,
): Promise<Batch> {
  const workspace = await requireAccess(db, viewer, workspaceId, readAccess)
  const changes: Change[] = []
  let position = from ?? snapshotStart(workspace)
  if (position.seq > workspace.lastSeq) throw new SyncCursorExpired()
  for (let reads = 0; reads < MAX_READS && changes.length < limit; reads++) {
    if (!hasMoreAfter(position, workspace)) break
    const { scan } = position
    const remaining = limit - changes.length
    const ctx = { db, workspace, now }
    const result = scan
      ? await readSnapshot(ctx, { ...position, scan }, remaining)
      : await readEvents(ctx, position, remaining)
    changes.push(...result.changes)
    position = result.position
  }
  return { workspaceId, changes, position, hasMore: hasMoreAfter(position, workspace) }
}

const hasMoreAfter = ({ seq, scan }: SyncPosition, { lastSeq }: WorkspaceRow) =>
  scan !== null || seq < lastSeq

/** Returns the position from which a client receives a snapshot and then the log from now on. */
const snapshotStart = ({ lastSeq }: WorkspaceRow): SyncPosition => ({
  seq: lastSeq,
  resendUntil: 0,
  scan: { of: 'workspace', at: null },
})

/** Decodes a cursor of this workspace. Throws SyncCursorExpired. */
export const positionOf = (
  { signingKeys }: ServiceContext,
  workspaceId: string,
  cursor: string,
): SyncPosition => decodeSyncCursor(signingKeys, workspaceId, cursor)

/** Returns the position at the end of the log of a workspace. Throws NotFound, Forbidden. */
export async function currentPosition(
  { db, viewer }: ServiceContext,
  workspaceId: string,
): Promise<SyncPosition> {
  const { lastSeq } = await requireAccess(db, viewer, workspaceId, readAccess)
  return { seq: lastSeq, resendUntil: 0, scan: null }
}
