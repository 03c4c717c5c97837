import type { ServiceContext } from '../../context.ts'
import { expireUploads } from './jobs.ts'
import { statusesBefore } from './rules.ts'

/**
 * Ends every unfinished upload as its expiry would: the room is given back, and clients learn to begin anew. For a database whose
 * staged bytes do not exist any more. Answers how many.
 */
export async function terminateAllUploads(ctx: ServiceContext): Promise<number> {
  await ctx.db
    .updateTable('uploads')
    .set((eb) => ({
      ...{ status: 'RECEIVED', leaseUntil: null, confirmJob: null },
      fence: eb('fence', '+', 1),
    }))
    .where('status', '=', 'PROCESSING')
    .execute()
  await ctx.db
    .updateTable('uploads')
    .set({ expiresAt: ctx.now() })
    .where('status', 'in', statusesBefore('EXPIRED'))
    .execute()
  return expireUploads(ctx)
}
