import { sql } from 'kysely'
import { inLockedTransaction, type ServiceContext } from '../../context.ts'
import type { Db } from '../../database/database.ts'
import { fileKind } from '../../database/query/entry-kinds.ts'
import type { Tx } from '../../database/transaction.ts'
import { enqueue } from '../../jobs/queue.ts'
import type { EntryRow } from '../entries/reads.ts'
import { type FileFigures, setFileFigures } from '../entries/repair/repair-totals.ts'
import { SWEEP_BLOBS } from './blobs.ts'
import type { BlobRow } from './damage.ts'

type EntryKey = Pick<EntryRow, 'id' | 'workspaceId'>
type File = EntryKey & FileFigures & { versionId: string | null; counted: FileFigures | null }

const figures = ['size', 'olderBytes', 'sha256', 'mediaType', 'contentModifiedAt'] as const

/**
 * Returns the files whose columns differ from their versions. `counted` is null if the current version does
 * not exist.
 */
export async function differingFiles(db: Db | Tx, ids: readonly string[]): Promise<File[]> {
  const rows = await db
    .selectFrom('entries as f')
    .leftJoin('versions as v', (on) =>
      on.onRef('v.id', '=', 'f.versionId').onRef('v.fileId', '=', 'f.id'),
    )
    .select(['f.id', 'f.workspaceId', 'f.versionId'])
    .select(['f.size', 'f.olderBytes', 'f.sha256', 'f.mediaType', 'f.contentModifiedAt'])
    .select(['v.id as current', 'v.size as versionSize', 'v.sha256 as versionSha256'])
    .select(['v.mediaType as versionMediaType', 'v.contentModifiedAt as versionModifiedAt'])
    .select(
      sql<number>`coalesce((SELECT sum(o."size") FROM "versions" o
        WHERE o."fileId" = f."id" AND o."id" <> v."id"), 0)`.as('older'),
    )
    .where('f.id', 'in', ids)
    .where('f.kind', '=', fileKind)
    .execute()
  const files = rows.map(({ current, older, ...row }) => {
    const { versionSize, versionSha256, versionMediaType, versionModifiedAt, ...file } = row
    const expected = {
      size: versionSize ?? 0,
      olderBytes: older,
      sha256: versionSha256,
      mediaType: versionMediaType,
      contentModifiedAt: versionModifiedAt,
    }
    return { ...file, counted: current === null ? null : expected }
  })
  return files.filter(({ counted, ...file }) =>
    figures.some((name) => counted?.[name] !== file[name]),
  )
}

/** Recomputes the columns of a file that follow from its versions. */
export function repairFile(ctx: ServiceContext, { id, workspaceId }: EntryKey): Promise<void> {
  return inLockedTransaction(ctx, [workspaceId], async ({ tx }) => {
    const [file] = await differingFiles(tx, [id])
    if (file?.counted) await setFileFigures(tx, id, file.counted)
  })
}

type References = Pick<BlobRow, 'id' | 'workspaceId' | 'refs' | 'unreferencedAt'> & {
  counted: number
  others: number
}

/**
 * Returns the blobs whose reference count or deletion mark is wrong, and those with versions of a different
 * size or hash; `others` is the number of these versions.
 */
export async function differingReferences(
  db: Db | Tx,
  ids: readonly string[],
): Promise<References[]> {
  const blobs = await db
    .selectFrom('blobs as b')
    .leftJoin('versions as v', 'v.blobId', 'b.id')
    .select(['b.id', 'b.workspaceId', 'b.refs', 'b.unreferencedAt'])
    .select(sql<number>`count(v."id")`.as('counted'))
    .select(
      sql<number>`coalesce(sum(CASE WHEN v."size" <> b."size" OR v."sha256" <> b."sha256" THEN 1 ELSE 0 END), 0)`.as(
        'others',
      ),
    )
    .where('b.id', 'in', ids)
    .groupBy(['b.id', 'b.workspaceId', 'b.refs', 'b.unreferencedAt'])
    .execute()
  return blobs.filter(
    ({ refs, counted, others, unreferencedAt }) =>
      refs !== counted || others > 0 || (unreferencedAt === null) !== counted > 0,
  )
}

/**
 * Recomputes the reference count of a blob, and marks the blob for deletion if and only if it has no
 * reference.
 */
export function repairReferences(
  ctx: ServiceContext,
  { id, workspaceId }: EntryKey,
): Promise<void> {
  return inLockedTransaction(ctx, [workspaceId], async ({ tx, now }) => {
    const [blob] = await differingReferences(tx, [id])
    if (!blob) return
    const unreferencedAt = blob.counted > 0 ? null : (blob.unreferencedAt ?? now())
    const counted = { refs: blob.counted, unreferencedAt }
    await tx.updateTable('blobs').set(counted).where('id', '=', id).execute()
    if (unreferencedAt !== null)
      await enqueue(tx, { kind: SWEEP_BLOBS, id: SWEEP_BLOBS, runAt: now() })
  })
}
