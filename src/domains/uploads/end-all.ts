import type { ServiceContext } from '../../context.ts'
import { expireUploads } from './jobs.ts'
import { statusesBefore } from './rules.ts'

/**
 * Ends every unfinished upload as its expiry would: the room is given back, and clients learn to begin anew. For a database whose
 * staged bytes do not exist any more. Answers how many.
 */
export async function terminateAllUploads(scope: ServiceContext): Promise<number> {
  await scope.db
    .updateTable('uploads')
    .set((eb) => ({
      ...{ status: 'RECEIVED', leaseUntil: null, confirmJob: null },
      fence: eb('fence', '+', 1),
    }))
    .where('status', '=', 'PROCESSING')
    .execute()
  await scope.db
    .updateTable('uploads')
    .set({ expiresAt: scope.now() })
    .where('status', 'in', statusesBefore('EXPIRED'))
    .execute()
  return expireUploads(scope)
}
