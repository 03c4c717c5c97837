import type { LogContext } from '../../context.ts'
import { hook } from '../../database/hook.ts'
import { newId } from '../../database/ids.ts'
import { nextSeq, workspaceCreated, workspaceUpdated } from '../workspaces/writes.ts'
import type { ActivityRow } from './reads.ts'
import type { ActivityAction } from './rules.ts'

export type Activity = {
  workspaceId: string
  action: ActivityAction
  entryId?: string | null
  path?: string | null
  details?: Record<string, unknown>
}

/** Called for every logged event, so that higher layers update their own data about entries. */
export const recorded = hook<{ ctx: LogContext; event: ActivityRow }>()

/** Appends an event to the log of a workspace, with the viewer as its actor. */
export async function record(
  ctx: LogContext,
  { workspaceId, action, entryId = null, path = null, details = {} }: Activity,
): Promise<void> {
  const seq = await nextSeq(ctx, workspaceId)
  const event = await ctx.tx
    .insertInto('activity')
    .values({
      id: newId('evt'),
      workspaceId,
      seq,
      action,
      actorId: ctx.viewer?.userId ?? null,
      tokenId: ctx.viewer?.tokenId ?? null,
      entryId,
      path,
      at: ctx.now(),
      details: JSON.stringify(details),
    })
    .returningAll()
    .executeTakeFirstOrThrow()
  await recorded.call(ctx.tx, { ctx, event })
}

workspaceCreated.listen((_, { ctx, workspace }) =>
  record(ctx, {
    workspaceId: workspace.id,
    action: 'WORKSPACE_CREATED',
    details: { name: workspace.name },
  }),
)
workspaceUpdated.listen((_, { ctx, workspace, changed }) =>
  record(ctx, { workspaceId: workspace.id, action: 'WORKSPACE_UPDATED', details: { changed } }),
)
