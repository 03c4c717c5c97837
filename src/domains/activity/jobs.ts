import type { Db } from '../../database/database.ts'
import type { Scope } from '../../scope.ts'
import { eventsAfter } from './reads.ts'

/** So long the log of a workspace reaches back, and with it what a SyncCursor can ask for. */
export const LOG_DAYS = 90
const DAY_MS = 86_400_000
const AT_ONCE = 500

/** Takes away events that are older than LOG_DAYS, from the beginning of each log, so that no log has a hole. */
export async function pruneLogs({ db, now }: Scope, signal: AbortSignal): Promise<void> {
  const before = now() - LOG_DAYS * DAY_MS
  const workspaces = await db.selectFrom('workspaces').select('id').execute()
  for (const { id } of workspaces) {
    while (!signal.aborted && (await pruneSome(db, id, before)) === AT_ONCE);
  }
}

/** Answers how many went. */
async function pruneSome(db: Db, workspaceId: string, before: number): Promise<number> {
  const first = await eventsAfter(db, workspaceId, 0, AT_ONCE)
  const young = first.findIndex(({ at }) => at >= before)
  const old = young === -1 ? first : first.slice(0, young)
  const last = old.at(-1)
  if (!last) return 0
  await db
    .deleteFrom('activity')
    .where('workspaceId', '=', workspaceId)
    .where('seq', '<=', last.seq)
    .execute()
  return old.length
}
