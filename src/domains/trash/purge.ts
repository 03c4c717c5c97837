import { setImmediate as breathe } from 'node:timers/promises'
import { inTransaction, type ServiceContext, type TxContext } from '../../context.ts'
import type { Db } from '../../database/database.ts'
import { fileKind } from '../../database/query/entry-kinds.ts'
import { lockWorkspace } from '../../database/transaction.ts'
import { InvalidState } from '../../errors.ts'
import { enqueue } from '../../jobs/queue.ts'
import { record } from '../activity/writes.ts'
import { type BatchMode, batch, type Outcome } from '../entries/batch.ts'
import type { EntryRow } from '../entries/reads.ts'
import { countTrashed } from '../entries/totals.ts'
import { forgetEntries, markPurging } from '../entries/trash.ts'
import { forgetVersions } from '../files/writes.ts'
import { requireAccess } from '../workspaces/reads.ts'
import { addUsed } from '../workspaces/writes.ts'
import { requireTrashed } from './writes.ts'

/** The job that takes the rows of purged entries away. */
export const DRAIN_PURGED = 'drainPurged'
const toPurge = { scope: 'TRASH_PURGE', role: 'EDITOR' } as const
const AT_ONCE = 500

type Purged = { results: Outcome[]; freedBytes: number }

/** Ends entries of the trash for good: gone at once for everybody, however much they hold; rows and bytes follow. */
export async function purgeEntries(
  ctx: ServiceContext,
  { entryIds, mode }: { entryIds: readonly string[]; mode: BatchMode },
): Promise<Purged> {
  const act = async (s: TxContext, id: string) => purge(s, await requireTrashed(s, id, toPurge))
  const results = await batch(ctx, entryIds, mode, act, 'entryIds')
  await drainPurged(ctx)
  return { results, freedBytes: freed(results) }
}

/** The same for everything in a workspace's trash, or what lies there since before a moment (milliseconds). */
export async function emptyTrash(
  ctx: ServiceContext,
  {
    workspaceId,
    trashedBefore,
  }: { workspaceId: string; trashedBefore?: number | null | undefined },
): Promise<{ purgedCount: number; freedBytes: number }> {
  const purged = await inTransaction(ctx, async (s) => {
    await requireAccess(s.tx, s.viewer, workspaceId, toPurge)
    const trashed = await trashedIn(s, workspaceId, trashedBefore ?? Number.MAX_SAFE_INTEGER)
    for (const entry of trashed) await purge(s, entry)
    return trashed
  })
  await drainPurged(ctx)
  return { purgedCount: purged.length, freedBytes: purged.reduce((sum, e) => sum + weight(e), 0) }
}

const trashedIn = ({ tx }: TxContext, workspaceId: string, before: number) =>
  tx
    .selectFrom('entries')
    .selectAll()
    .where('workspaceId', '=', workspaceId)
    .where('trashedAt', 'is not', null)
    .where('trashedAt', '<', before)
    .where('purgingAt', 'is', null)
    .execute()

const weight = ({ size, olderBytes }: EntryRow) => size + olderBytes
const freed = (results: readonly Outcome[]) =>
  results.reduce((sum, { entry }) => sum + (entry ? weight(entry) : 0), 0)

/** Marks a trashed entry as gone and gives its bytes back to the quota. */
export async function purge(s: TxContext, entry: EntryRow): Promise<EntryRow> {
  if (!(await markPurging(s, entry))) {
    throw new InvalidState('PURGED', 'this is being purged, or was restored at this moment')
  }
  const { workspaceId, id: entryId, originalPath: path } = entry
  await countTrashed(s, entry, -1)
  await addUsed(s, workspaceId, -weight(entry), { checkQuota: false })
  await record(s, { workspaceId, action: 'ENTRY_PURGED', entryId, path })
  await enqueue(s.tx, { kind: DRAIN_PURGED, id: DRAIN_PURGED, runAt: s.now() })
  return entry
}

/** Takes away the rows of what was purged, some hundred in a transaction, and marks the blobs that nobody refers to. Can be cut anywhere and done again. */
export async function drainPurged(ctx: ServiceContext, signal?: AbortSignal): Promise<void> {
  for (let root = await purgedRoot(ctx.db); root; root = await purgedRoot(ctx.db)) {
    while (await inTransaction(ctx, (s) => drainSome(s, root))) {
      if (signal?.aborted) return
      await breathe()
    }
  }
}

const purgedRoot = (db: Db) =>
  db
    .selectFrom('entries')
    .selectAll()
    .where('purgingAt', 'is not', null)
    .limit(1)
    .executeTakeFirst()

/** Files first, then folders, the deepest first, the root last; false when nothing is left. */
async function drainSome(s: TxContext, root: EntryRow): Promise<boolean> {
  lockWorkspace(s.tx, root.workspaceId)
  const files = await filesBelow(s, root)
  if (files.length > 0) return forget(s, root, files)
  const folders = await foldersBelow(s, root)
  if (folders.length > 0) return forget(s, root, folders)
  await forget(s, root, [root.id])
  return false
}

async function filesBelow({ tx }: TxContext, root: EntryRow): Promise<string[]> {
  const rows = await tx
    .selectFrom('entries as f')
    .innerJoin('entries as e', 'e.parentId', 'f.id')
    .select('e.id')
    .where('f.trashRootId', '=', root.id)
    .where('e.kind', '=', fileKind)
    .limit(AT_ONCE)
    .execute()
  return rows.map(({ id }) => id)
}

async function foldersBelow({ tx }: TxContext, root: EntryRow): Promise<string[]> {
  const rows = await tx
    .selectFrom('entries')
    .select('id')
    .where('trashRootId', '=', root.id)
    .where('id', '!=', root.id)
    .orderBy('pathKey', 'desc')
    .limit(AT_ONCE)
    .execute()
  return rows.map(({ id }) => id)
}

async function forget(s: TxContext, { workspaceId }: EntryRow, ids: string[]): Promise<boolean> {
  await forgetVersions(s, workspaceId, ids)
  await forgetEntries(s, ids)
  return true
}
