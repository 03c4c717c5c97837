import type { Damage } from '../../blobs/verify.ts'
import { inLockedTransaction, type ServiceContext, type TxContext } from '../../context.ts'
import type { Row } from '../../database/tables.ts'
import { record } from '../activity/writes.ts'
import { entryById, loadPath } from '../entries/reads.ts'

/**
 * Marks a blob as damaged and logs FILE_DAMAGED for each of its files, which become FAILED and are no longer
 * served. Returns false if the blob does not exist, is unreferenced, or is already marked.
 */
export async function markDamaged(
  ctx: ServiceContext,
  blobId: string,
  code: Damage,
): Promise<boolean> {
  const found = await ctx.db
    .selectFrom('blobs')
    .select('workspaceId')
    .where('id', '=', blobId)
    .executeTakeFirst()
  if (!found) return false
  return inLockedTransaction(ctx, [found.workspaceId], async (s) => {
    const blob = await s.tx
      .updateTable('blobs')
      .set({ damage: JSON.stringify({ code, at: s.now() }), verifiedAt: s.now() })
      .where('id', '=', blobId)
      .where('damage', 'is', null)
      .where('unreferencedAt', 'is', null)
      .returningAll()
      .executeTakeFirst()
    if (blob) await logForFiles(s, blob, 'FILE_DAMAGED', { code })
    return blob !== undefined
  })
}

/**
 * Marks a blob as verified. If it was marked as damaged, clears that mark and logs FILE_RECOVERED for its
 * files.
 */
export async function markVerified(
  ctx: ServiceContext,
  { id, workspaceId, damage }: BlobRow,
): Promise<void> {
  const verified = { verifiedAt: ctx.now() }
  if (damage === null) {
    await ctx.db.updateTable('blobs').set(verified).where('id', '=', id).execute()
    return
  }
  await inLockedTransaction(ctx, [workspaceId], async (s) => {
    const blob = await s.tx
      .updateTable('blobs')
      .set({ ...verified, damage: null })
      .where('id', '=', id)
      .where('damage', 'is not', null)
      .returningAll()
      .executeTakeFirst()
    if (blob) await logForFiles(s, blob, 'FILE_RECOVERED', {})
  })
}

export type BlobRow = Row<'blobs'>

/** Logs an event for each file whose current or older versions use this blob. */
export async function logForFiles(
  ctx: TxContext,
  { id, workspaceId }: Pick<BlobRow, 'id' | 'workspaceId'>,
  action: 'FILE_DAMAGED' | 'FILE_RECOVERED',
  details: Record<string, unknown>,
): Promise<void> {
  const versions = await ctx.tx
    .selectFrom('versions')
    .select(['id', 'fileId', 'number'])
    .where('blobId', '=', id)
    .orderBy('fileId')
    .orderBy('number')
    .execute()
  for (const [fileId, own] of Map.groupBy(versions, (version) => version.fileId)) {
    const file = await entryById(ctx.tx, fileId)
    if (!file) continue
    const logged = { ...details, versions: own.map(({ number }) => number) }
    const isCurrent = own.some((version) => version.id === file.versionId)
    const place = { workspaceId, entryId: fileId, path: await loadPath(ctx.tx, file) }
    await record(ctx, { ...place, action, details: { ...logged, isCurrent } })
  }
}
