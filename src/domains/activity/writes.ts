import { newId } from '../../database/ids.ts'
import type { TxScope } from '../../scope.ts'
import { workspaceCreated, workspaceUpdated } from '../workspaces/writes.ts'
import type { ActivityAction } from './rules.ts'

export type Activity = {
  workspaceId: string
  action: ActivityAction
  entryId?: string | null
  path?: string | null
  details?: Record<string, unknown>
}

/** Appends to the workspace's log: who did what to which entry, when. The number comes from the workspace's own row, so that no reader sees a gap that fills later. */
export async function record(
  { tx, viewer, now }: TxScope,
  { workspaceId, action, entryId = null, path = null, details = {} }: Activity,
): Promise<void> {
  const { lastSeq: seq } = await tx
    .updateTable('workspaces')
    .set((eb) => ({ lastSeq: eb('lastSeq', '+', 1) }))
    .where('id', '=', workspaceId)
    .returning('lastSeq')
    .executeTakeFirstOrThrow()
  await tx
    .insertInto('activity')
    .values({
      id: newId('evt'),
      workspaceId,
      seq,
      action,
      actorId: viewer?.userId ?? null,
      tokenId: viewer?.tokenId ?? null,
      entryId,
      path,
      at: now(),
      details: JSON.stringify(details),
    })
    .execute()
}

workspaceCreated.listen((_, { scope, workspace }) =>
  record(scope, {
    workspaceId: workspace.id,
    action: 'WORKSPACE_CREATED',
    details: { name: workspace.name },
  }),
)
workspaceUpdated.listen((_, { scope, workspace, changed }) =>
  record(scope, { workspaceId: workspace.id, action: 'WORKSPACE_UPDATED', details: { changed } }),
)
