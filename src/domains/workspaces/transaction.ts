import { inLockedTransaction, type ServiceContext, type TxContext } from '../../context.ts'
import { prepared } from '../../database/query/prepared.ts'

/**
 * Runs `fn` in one transaction, all or nothing, that has locked these workspaces: it is their only writer
 * from its first statement on, so what `fn` checks stays true until the commit. The ids may come from a
 * request: only workspaces of the viewer are locked. `fn` must authorise, and may be retried.
 */
export async function inWorkspaceTransaction<T>(
  ctx: ServiceContext,
  workspaceIds: string | readonly string[],
  fn: (ctx: TxContext) => Promise<T>,
): Promise<T> {
  return inLockedTransaction(ctx, await memberWorkspaces(ctx, [workspaceIds].flat()), fn)
}

/**
 * Returns those of the workspaces in which the viewer is a member, which a request may lock: a stranger could
 * otherwise hold up its writers, and see from the time whether it exists.
 */
export async function memberWorkspaces(
  { db, viewer }: ServiceContext,
  ids: readonly string[],
): Promise<string[]> {
  if (!viewer || ids.length === 0) return []
  return (await memberships(db, viewer.userId, ids)).map(({ workspaceId }) => workspaceId)
}

const memberships = prepared((db, userId: string, ids: readonly string[]) =>
  db
    .selectFrom('members')
    .select('workspaceId')
    .where('userId', '=', userId)
    .where('workspaceId', 'in', ids),
)
