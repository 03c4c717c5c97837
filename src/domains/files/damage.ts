import type { Damage } from '../../blobs/verify.ts'
import { inTransaction, type ServiceContext, type TxContext } from '../../context.ts'
import type { Row } from '../../database/tables.ts'
import { lockWorkspace } from '../../database/transaction.ts'
import { record } from '../activity/writes.ts'
import { entriesById, pathOf } from '../entries/reads.ts'

/**
 * Writes down that the bytes of a blob are not as they must be; its files are FAILED from now on, and nobody is given them. The log
 * is told once, of each file. False where that is known, or nobody refers to them any more.
 */
export function markDamaged(ctx: ServiceContext, blobId: string, code: Damage): Promise<boolean> {
  return inTransaction(ctx, async (s) => {
    const known = await s.tx
      .selectFrom('blobs')
      .select('workspaceId')
      .where('id', '=', blobId)
      .executeTakeFirst()
    if (!known) return false
    lockWorkspace(s.tx, known.workspaceId)
    const blob = await s.tx
      .updateTable('blobs')
      .set({ damage: JSON.stringify({ code, at: s.now() }), verifiedAt: s.now() })
      .where('id', '=', blobId)
      .where('damage', 'is', null)
      .where('unreferencedAt', 'is', null)
      .returningAll()
      .executeTakeFirst()
    if (blob) await tellFiles(s, blob, 'FILE_DAMAGED', { code })
    return blob !== undefined
  })
}

/** Writes down that all bytes of a blob were read and are right; where they were not before, its files are told of. */
export async function markVerified(ctx: ServiceContext, { id, damage }: BlobRow): Promise<void> {
  const verified = { verifiedAt: ctx.now() }
  if (damage === null) {
    await ctx.db.updateTable('blobs').set(verified).where('id', '=', id).execute()
    return
  }
  await inTransaction(ctx, async (s) => {
    const blob = await s.tx
      .updateTable('blobs')
      .set({ ...verified, damage: null })
      .where('id', '=', id)
      .where('damage', 'is not', null)
      .returningAll()
      .executeTakeFirst()
    if (blob) await tellFiles(s, blob, 'FILE_RECOVERED', {})
  })
}

export type BlobRow = Row<'blobs'>

/** The log of each file that has this blob, in its current version or in an older one, gets a line. */
export async function tellFiles(
  s: TxContext,
  { id, workspaceId }: Pick<BlobRow, 'id' | 'workspaceId'>,
  action: 'FILE_DAMAGED' | 'FILE_RECOVERED',
  details: Record<string, unknown>,
): Promise<void> {
  const versions = await s.tx
    .selectFrom('versions')
    .select(['id', 'fileId', 'number'])
    .where('blobId', '=', id)
    .orderBy('fileId')
    .orderBy('number')
    .execute()
  for (const [fileId, own] of Map.groupBy(versions, (version) => version.fileId)) {
    const [file] = await entriesById(s.tx, [fileId])
    if (!file) continue
    const [parent = null] = file.parentId ? await entriesById(s.tx, [file.parentId]) : []
    const told = { ...details, versions: own.map(({ number }) => number) }
    const isCurrent = own.some((version) => version.id === file.versionId)
    const place = { workspaceId, entryId: fileId, path: pathOf(file, parent) }
    await record(s, { ...place, action, details: { ...told, isCurrent } })
  }
}
