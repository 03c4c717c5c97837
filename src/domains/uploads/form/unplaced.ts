import { inTransaction, type ServiceContext } from '../../../context.ts'
import type { Db } from '../../../database/database.ts'
import { Unauthenticated } from '../../../errors.ts'
import { checkByteLimits } from '../create/limits.ts'

type Unplaced = { userId: string; bytes: number }

/** Forms that this process receives and that have not named their workspace yet: no row can stand for them, but their bytes count. */
const ledgers = new WeakMap<Db, Map<string, Unplaced>>()

function ledgerOf({ db }: ServiceContext) {
  const ledger = ledgers.get(db) ?? new Map<string, Unplaced>()
  ledgers.set(db, ledger)
  return ledger
}

/** Counts `bytes` for a form; RateLimited where its user's forms and unfinished uploads together are more than one user may have. */
export async function countUnplaced(
  ctx: ServiceContext,
  formId: string,
  bytes: number,
): Promise<void> {
  if (!ctx.viewer) throw new Unauthenticated()
  const { userId } = ctx.viewer
  const ledger = ledgerOf(ctx).set(formId, { userId, bytes })
  const own = [...ledger.values()].filter((form) => form.userId === userId)
  const sum = own.reduce((total, form) => total + form.bytes, 0)
  await inTransaction(ctx, (s) => checkByteLimits(s, userId, sum))
}

/** A form that has a row of its own by now, or is over. */
export const clearUnplaced = (ctx: ServiceContext, formId: string) => ledgerOf(ctx).delete(formId)
