import type { Scope } from '../../scope.ts'
import { inTransaction } from '../../scope.ts'
import { drainPurged, purge } from './purge.ts'

const DAY_MS = 86_400_000

/** Purges what lies in a trash for longer than its workspace keeps it. */
export async function purgeOutlived(scope: Scope, signal: AbortSignal): Promise<void> {
  const outlived = await scope.db
    .selectFrom('workspaces as w')
    .innerJoin('entries as e', 'e.workspaceId', 'w.id')
    .selectAll('e')
    .where('w.trashRetentionDays', '>', 0)
    .where('e.trashedAt', 'is not', null)
    .where('e.purgingAt', 'is', null)
    .where((eb) =>
      eb(eb('e.trashedAt', '+', eb('w.trashRetentionDays', '*', DAY_MS)), '<=', scope.now()),
    )
    .limit(1000)
    .execute()
  for (const entry of outlived) {
    if (signal.aborted) return
    await inTransaction(scope, (s) => purge(s, entry))
  }
  await drainPurged(scope, signal)
}
