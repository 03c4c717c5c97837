import { inLockedTransaction, type ServiceContext } from '../../context.ts'
import { InvalidState } from '../../errors/entries.ts'
import type { EntryRow } from '../entries/reads.ts'
import { drainPurged, purge } from './purge.ts'

const DAY_MS = 86_400_000
const BATCH_SIZE = 1000

/** Purges the entries that have been in the trash for longer than the trash retention of their workspace. */
export async function purgeExpired(ctx: ServiceContext, signal: AbortSignal): Promise<void> {
  let expired: EntryRow[]
  do {
    expired = await expiredEntries(ctx)
    for (const entry of expired) {
      if (signal.aborted) return
      const purging = inLockedTransaction(ctx, [entry.workspaceId], (s) => purge(s, entry))
      await purging.catch(ignoreInvalidState)
    }
  } while (expired.length === BATCH_SIZE)
  await drainPurged(ctx, signal)
}

const expiredEntries = ({ db, now }: ServiceContext): Promise<EntryRow[]> =>
  db
    .selectFrom('workspaces as w')
    .innerJoin('entries as e', 'e.workspaceId', 'w.id')
    .selectAll('e')
    .where('w.trashRetentionDays', '>', 0)
    .where('e.trashedAt', 'is not', null)
    .where('e.purgingAt', 'is', null)
    .where((eb) => eb(eb('e.trashedAt', '+', eb('w.trashRetentionDays', '*', DAY_MS)), '<=', now()))
    .limit(BATCH_SIZE)
    .$castTo<EntryRow>()
    .execute()

/** Ignores that another request restored or purged the entry in the meantime. */
function ignoreInvalidState(error: unknown) {
  if (!(error instanceof InvalidState)) throw error
}
