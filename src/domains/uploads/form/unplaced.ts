import { inTransaction, type ServiceContext } from '../../../context.ts'
import type { Db } from '../../../database/database.ts'
import { Unauthenticated } from '../../../errors/access.ts'
import { checkByteLimits } from '../create/limits.ts'

type Unassigned = { userId: string; bytes: number }

/**
 * The forms of this process whose workspace is not known yet. They have no upload row, but their bytes count
 * towards the limits.
 */
const formsByDb = new WeakMap<Db, Map<string, Unassigned>>()

function formsOf({ db }: ServiceContext) {
  const forms = formsByDb.get(db) ?? new Map<string, Unassigned>()
  formsByDb.set(db, forms)
  return forms
}

/**
 * Records that a form has `bytes` bytes. Throws RateLimited if the forms and unfinished uploads of the user
 * together exceed the limit.
 */
export async function countUnassigned(
  ctx: ServiceContext,
  formId: string,
  bytes: number,
): Promise<void> {
  if (!ctx.viewer) throw new Unauthenticated()
  const { userId } = ctx.viewer
  const forms = formsOf(ctx).set(formId, { userId, bytes })
  const own = [...forms.values()].filter((form) => form.userId === userId)
  const sum = own.reduce((total, form) => total + form.bytes, 0)
  await inTransaction(ctx, (s) => checkByteLimits(s, userId, sum))
}

/** Stops counting a form that has an upload row or has ended. */
export const clearUnassigned = (ctx: ServiceContext, formId: string) => formsOf(ctx).delete(formId)
