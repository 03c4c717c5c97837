import { inTransaction, type ServiceContext } from '../../context.ts'
import { InvalidState } from '../../errors.ts'
import type { EntryRow } from '../entries/reads.ts'
import { drainPurged, purge } from './purge.ts'

const DAY_MS = 86_400_000
const AT_ONCE = 1000

/** Purges what lies in a trash for longer than its workspace keeps it. */
export async function purgeExpired(ctx: ServiceContext, signal: AbortSignal): Promise<void> {
  let outlived: EntryRow[]
  do {
    outlived = await outlivedAt(ctx)
    for (const entry of outlived) {
      if (signal.aborted) return
      await inTransaction(ctx, (s) => purge(s, entry)).catch(unlessChanged)
    }
  } while (outlived.length === AT_ONCE)
  await drainPurged(ctx, signal)
}

const outlivedAt = ({ db, now }: ServiceContext): Promise<EntryRow[]> =>
  db
    .selectFrom('workspaces as w')
    .innerJoin('entries as e', 'e.workspaceId', 'w.id')
    .selectAll('e')
    .where('w.trashRetentionDays', '>', 0)
    .where('e.trashedAt', 'is not', null)
    .where('e.purgingAt', 'is', null)
    .where((eb) => eb(eb('e.trashedAt', '+', eb('w.trashRetentionDays', '*', DAY_MS)), '<=', now()))
    .limit(AT_ONCE)
    .execute()

/** Whoever restored it in the meantime, or purged it, was first. */
function unlessChanged(error: unknown) {
  if (!(error instanceof InvalidState)) throw error
}
