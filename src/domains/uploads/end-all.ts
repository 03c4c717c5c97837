import type { ServiceContext } from '../../context.ts'
import { expireUploads } from './jobs.ts'
import { statusesBefore } from './rules.ts'

/**
 * Expires every unfinished upload and releases its reserved space, so that clients must start again. For a
 * restored database whose staged bytes no longer exist. Returns the number of uploads.
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
