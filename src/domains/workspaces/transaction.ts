import { inLockedTransaction, type ServiceContext, type TxContext } from '../../context.ts'
import { memberWorkspaces } from './reads.ts'

/**
 * Runs `fn` in one transaction, all or nothing, that has locked these workspaces: it is their only writer
 * from its first statement on, so what `fn` checks stays true until the commit. The ids may come from a
 * request, or be empty for an object that does not exist: only workspaces of the viewer are locked. `fn` must
 * authorise, and may be retried.
 */
export async function inWorkspaceTransaction<T>(
  ctx: ServiceContext,
  workspaceIds: string | readonly string[],
  fn: (ctx: TxContext) => Promise<T>,
): Promise<T> {
  const { db, viewer } = ctx
  const own = await memberWorkspaces(db, viewer, [workspaceIds].flat())
  return inLockedTransaction(ctx, own, fn)
}
