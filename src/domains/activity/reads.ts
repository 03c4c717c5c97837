import type { Db } from '../../database/database.ts'
import type { List } from '../../database/query/keyset.ts'
import { rowsById } from '../../database/query/load-by-id.ts'
import type { Row } from '../../database/tables.ts'
import type { SigningKeys } from '../../signing/signing-keys.ts'
import type { ActivityAction } from './rules.ts'
import { encodeSyncCursor } from './sync-cursor.ts'

export type ActivityRow = Row<'activity'>

export type ActivityFilter = {
  actions?: readonly ActivityAction[] | null | undefined
  actorIds?: readonly string[] | null | undefined
  entryId?: string | null | undefined
  at?: { gte?: number | null | undefined; lt?: number | null | undefined } | null | undefined
}

/** Returns the activity log of a workspace, newest first. */
export function activityList(
  db: Db,
  workspaceId: string,
  { actions, actorIds, entryId, at }: ActivityFilter,
): List<ActivityRow> {
  let events = db.selectFrom('activity').selectAll().where('workspaceId', '=', workspaceId)
  if (actions != null) events = events.where('action', 'in', [...new Set(actions)])
  if (actorIds != null) events = events.where('actorId', 'in', [...actorIds])
  if (entryId != null) events = events.where('entryId', '=', entryId)
  if (at?.gte != null) events = events.where('at', '>=', at.gte)
  if (at?.lt != null) events = events.where('at', '<', at.lt)
  return {
    ordering: 'activity',
    keys: [{ column: 'activity.seq', as: 'seq', direction: 'desc', numeric: true }],
    segments: [events],
  }
}

/** Loads events by id, with null for each that does not exist. */
export const activityById = rowsById('activity')

/** Returns the cursor of the current end of a workspace's log. */
export async function currentSyncCursor(
  { db, signingKeys }: { db: Db; signingKeys: SigningKeys },
  workspaceId: string,
): Promise<string> {
  return encodeSyncCursor(signingKeys, workspaceId, { seq: await lastSeqOf(db, workspaceId) })
}

/** Returns the sequence number of the last event of a workspace; later events have greater numbers. */
export async function lastSeqOf(db: Db, workspaceId: string): Promise<number> {
  const { lastSeq } = await db
    .selectFrom('workspaces')
    .select('lastSeq')
    .where('id', '=', workspaceId)
    .executeTakeFirstOrThrow()
  return lastSeq
}

/** Returns up to `limit` events of a workspace after the sequence number `seq`, in order. */
export const eventsAfter = (db: Db, workspaceId: string, seq: number, limit: number) =>
  db
    .selectFrom('activity')
    .selectAll()
    .where('workspaceId', '=', workspaceId)
    .where('seq', '>', seq)
    .orderBy('seq')
    .limit(limit)
    .execute()
