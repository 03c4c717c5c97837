import type { ServiceContext, TxContext } from '../../context.ts'
import { inWorkspaceTransaction } from '../workspaces/transaction.ts'
import { type EntryRef, entriesById } from './reads.ts'

/** Runs `fn` like inWorkspaceTransaction, with the workspaces of these entries locked. */
export async function inEntryTransaction<T>(
  ctx: ServiceContext,
  refs: readonly EntryRef[],
  fn: (ctx: TxContext) => Promise<T>,
): Promise<T> {
  return inWorkspaceTransaction(ctx, await workspacesOf(ctx, refs), fn)
}

async function workspacesOf({ db }: ServiceContext, refs: readonly EntryRef[]) {
  const ids = refs.flatMap(({ id }) => id ?? [])
  const entries = ids.length > 0 ? await entriesById(db, ids) : []
  const named = refs.flatMap(({ path }) => path?.workspaceId ?? [])
  return [...new Set([...named, ...entries.flatMap((entry) => entry?.workspaceId ?? [])])]
}
