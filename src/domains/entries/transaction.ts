import type { ServiceContext, TxContext } from '../../context.ts'
import { inWorkspaceTransaction } from '../workspaces/transaction.ts'
import { type EntryRef, entriesById, isEntryId } from './reads.ts'

/** Runs `fn` like inWorkspaceTransaction, with the workspaces of these entries locked. */
export async function inEntryTransaction<T>(
  ctx: ServiceContext,
  refs: readonly EntryRef[],
  fn: (ctx: TxContext) => Promise<T>,
): Promise<T> {
  return inWorkspaceTransaction(ctx, await workspacesOf(ctx, refs), fn)
}

/** Returns one id for each entry, empty if it does not exist, so that this takes as long as a hidden one. */
async function workspacesOf({ db }: ServiceContext, refs: readonly EntryRef[]): Promise<string[]> {
  const ids = refs.flatMap(({ id }) => (id && isEntryId(id) ? id : []))
  const entries = ids.length > 0 ? await entriesById(db, ids) : []
  const named = refs.flatMap(({ path }) => path?.workspaceId ?? [])
  return [...named, ...entries.map((entry) => entry?.workspaceId ?? '')]
}
