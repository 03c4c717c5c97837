import { setImmediate as yieldToEventLoop } from 'node:timers/promises'
import { inLockedTransaction, type ServiceContext, type TxContext } from '../../context.ts'
import type { Db } from '../../database/database.ts'
import { fileKind } from '../../database/query/entry-kinds.ts'
import { InvalidState } from '../../errors/entries.ts'
import { enqueue } from '../../jobs/queue.ts'
import { record } from '../activity/writes.ts'
import { type BatchEntry, type BatchMode, batch, type Outcome } from '../entries/batch.ts'
import { type EntryRow, selectEntries } from '../entries/reads.ts'
import { countTrashed } from '../entries/totals.ts'
import { deleteEntries, markPurging } from '../entries/trash.ts'
import { deleteVersions } from '../files/writes.ts'
import { requireAccess } from '../workspaces/reads.ts'
import { inWorkspaceTransaction } from '../workspaces/transaction.ts'
import { addUsed } from '../workspaces/writes.ts'
import { requireTrashed } from './writes.ts'

/** Kind of the job that deletes the rows of purged entries. */
export const DRAIN_PURGED = 'drainPurged'
const toPurge = { scope: 'TRASH_PURGE', role: 'EDITOR' } as const
const BATCH_SIZE = 500

type Purged = { results: Outcome[]; freedBytes: number }

/**
 * Purges 1 to 100 directly trashed entries. They become invisible immediately; then their rows and bytes are
 * deleted.
 */
export async function purgeEntries(
  ctx: ServiceContext,
  { entries, mode }: { entries: readonly BatchEntry[]; mode: BatchMode },
): Promise<Purged> {
  const act = async (s: TxContext, item: BatchEntry) =>
    purge(s, await requireTrashed(s, item, toPurge))
  const results = await batch(ctx, { entries, mode }, act)
  await drainPurged(ctx)
  return { results, freedBytes: freedSize(results) }
}

/**
 * Purges all entries in the trash of a workspace, or those trashed before `trashedBefore` (milliseconds
 * since 1970). Throws NotFound and Forbidden.
 */
export async function emptyTrash(
  ctx: ServiceContext,
  {
    workspaceId,
    trashedBefore,
  }: { workspaceId: string; trashedBefore?: number | null | undefined },
): Promise<{ purgedCount: number; freedBytes: number }> {
  const purged = await inWorkspaceTransaction(ctx, workspaceId, async (s) => {
    await requireAccess(s.tx, s.viewer, workspaceId, toPurge)
    const trashed = await trashedEntries(s, workspaceId, trashedBefore ?? Number.MAX_SAFE_INTEGER)
    for (const entry of trashed) await purge(s, entry)
    return trashed
  })
  await drainPurged(ctx)
  return {
    purgedCount: purged.length,
    freedBytes: purged.reduce((sum, e) => sum + totalSize(e), 0),
  }
}

const trashedEntries = ({ tx }: TxContext, workspaceId: string, before: number) =>
  selectEntries(tx)
    .where('workspaceId', '=', workspaceId)
    .where('trashedAt', 'is not', null)
    .where('trashedAt', '<', before)
    .where('purgingAt', 'is', null)
    .execute()

const totalSize = ({ size, olderBytes }: EntryRow) => size + olderBytes
const freedSize = (results: readonly Outcome[]) =>
  results.reduce((sum, { entry }) => sum + (entry ? totalSize(entry) : 0), 0)

/**
 * Marks a trashed entry for deletion and releases its bytes from the quota. Throws InvalidState if it was
 * purged or restored in the meantime.
 */
export async function purge(ctx: TxContext, entry: EntryRow): Promise<EntryRow> {
  if (!(await markPurging(ctx, entry))) {
    throw new InvalidState('PURGED', 'the entry was purged or restored in the meantime')
  }
  const { workspaceId, id: entryId, originalPath: path } = entry
  await countTrashed(ctx, entry, -1)
  await addUsed(ctx, workspaceId, -totalSize(entry), { checkQuota: false })
  await record(ctx, { workspaceId, action: 'ENTRY_PURGED', entryId, path })
  await enqueue(ctx.tx, { kind: DRAIN_PURGED, id: DRAIN_PURGED, runAt: ctx.now() })
  return entry
}

/**
 * Deletes the rows of purged entries in batches, each in its own transaction, and marks unreferenced blobs
 * for deletion. Can be interrupted at any point and run again.
 */
export async function drainPurged(ctx: ServiceContext, signal?: AbortSignal): Promise<void> {
  for (let root = await purgedRoot(ctx.db); root; root = await purgedRoot(ctx.db)) {
    const drain = () => inLockedTransaction(ctx, [root.workspaceId], (s) => drainBatch(s, root))
    while (await drain()) {
      if (signal?.aborted) return
      await yieldToEventLoop()
    }
  }
}

const purgedRoot = (db: Db) =>
  selectEntries(db).where('purgingAt', 'is not', null).limit(1).executeTakeFirst()

/**
 * Deletes one batch: first files, then folders from the deepest up, then the root. Returns false after the
 * root is deleted.
 */
async function drainBatch(ctx: TxContext, root: EntryRow): Promise<boolean> {
  const files = await filesBelow(ctx, root)
  if (files.length > 0) return deleteRows(ctx, root, files)
  const folders = await foldersBelow(ctx, root)
  if (folders.length > 0) return deleteRows(ctx, root, folders)
  await deleteRows(ctx, root, [root.id])
  return false
}

async function filesBelow({ tx }: TxContext, root: EntryRow): Promise<string[]> {
  const rows = await tx
    .selectFrom('entries as f')
    .innerJoin('entries as e', 'e.parentId', 'f.id')
    .select('e.id')
    .where('f.trashRootId', '=', root.id)
    .where('e.kind', '=', fileKind)
    .limit(BATCH_SIZE)
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
    .limit(BATCH_SIZE)
    .execute()
  return rows.map(({ id }) => id)
}

async function deleteRows(
  ctx: TxContext,
  { workspaceId }: EntryRow,
  ids: string[],
): Promise<boolean> {
  await deleteVersions(ctx, workspaceId, ids)
  await deleteEntries(ctx, ids)
  return true
}
