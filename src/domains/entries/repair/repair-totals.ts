import { sql } from 'kysely'
import { inLockedTransaction, type ServiceContext } from '../../../context.ts'
import type { Db } from '../../../database/database.ts'
import { folderKind } from '../../../database/query/entry-kinds.ts'
import type { MediaKind } from '../../../database/tables.ts'
import type { Tx } from '../../../database/transaction.ts'
import type { EntryRow } from '../reads.ts'
import type { Totals } from '../totals.ts'

type EntryKey = Pick<EntryRow, 'id' | 'workspaceId'>
type Differing = EntryKey & Totals & { counted: Totals }

const figures = ['size', 'olderBytes', 'fileCount', 'folderCount'] as const

/** Excludes trees that are being purged: their rows are deleted without updating totals. */
const isNotPurged = sql<boolean>`NOT EXISTS (SELECT 1 FROM "entries" r
  WHERE r."id" = f."trashRootId" AND r."purgingAt" IS NOT NULL)`

/**
 * Returns folders with the sums over their children. One statement reads both, so they are from one snapshot.
 */
const countChildren = (db: Db | Tx, ids: readonly string[]) =>
  db
    .selectFrom('entries as f')
    .leftJoin('entries as c', 'c.parentId', 'f.id')
    .select(['f.id', 'f.workspaceId', 'f.size', 'f.olderBytes', 'f.fileCount', 'f.folderCount'])
    .select([
      sql<number>`coalesce(sum(c."size"), 0)`.as('childSize'),
      sql<number>`coalesce(sum(c."olderBytes"), 0)`.as('childOlderBytes'),
      sql<number>`coalesce(sum(CASE c."kind" WHEN 'file' THEN 1 ELSE c."fileCount" END), 0)`.as(
        'childFileCount',
      ),
      sql<number>`coalesce(sum(CASE c."kind" WHEN 'file' THEN 0 ELSE c."folderCount" + 1 END), 0)`.as(
        'childFolderCount',
      ),
    ])
    .where('f.id', 'in', ids)
    .where('f.kind', '=', folderKind)
    .where(isNotPurged)
    .groupBy(['f.id', 'f.workspaceId', 'f.size', 'f.olderBytes', 'f.fileCount', 'f.folderCount'])
    .execute()

async function totalsOf(db: Db | Tx, ids: readonly string[]): Promise<Differing[]> {
  const rows = await countChildren(db, ids)
  return rows.map(({ id, workspaceId, size, olderBytes, fileCount, folderCount, ...child }) => ({
    ...{ id, workspaceId, size, olderBytes, fileCount, folderCount },
    counted: {
      size: child.childSize,
      olderBytes: child.childOlderBytes,
      fileCount: child.childFileCount,
      folderCount: child.childFolderCount,
    },
  }))
}

/** Returns the folders among `ids` whose totals differ from the sums over their children. */
export async function differingTotals(db: Db, ids: readonly string[]): Promise<Differing[]> {
  const all = await totalsOf(db, ids)
  return all.filter((folder) => figures.some((name) => folder[name] !== folder.counted[name]))
}

/** Recomputes the totals of a folder and of every folder above it. */
export function repairTotals(ctx: ServiceContext, { id, workspaceId }: EntryKey): Promise<void> {
  return inLockedTransaction(ctx, [workspaceId], async ({ tx }) => {
    const seen = new Set<string>()
    for (let at: string | null = id; at !== null && !seen.has(at); ) {
      seen.add(at)
      const [folder] = await totalsOf(tx, [at])
      if (!folder) return
      at = await writeTotals(tx, at, folder.counted)
    }
  })
}

/** Stores the totals of a folder and returns the id of its parent. */
async function writeTotals(tx: Tx, id: string, totals: Totals): Promise<string | null> {
  const { parentId } = await tx
    .updateTable('entries')
    .set(totals)
    .where('id', '=', id)
    .returning('parentId')
    .executeTakeFirstOrThrow()
  return parentId
}

type KindRow = EntryKey & { mediaKind: MediaKind; bytes: number; fileCount: number }

/**
 * Returns by how much the files in each folder differ from its per-kind totals. One statement reads both, so
 * they are from one snapshot.
 */
export async function differingKinds(db: Db | Tx, ids: readonly string[]): Promise<KindRow[]> {
  if (ids.length === 0) return []
  const { rows } = await sql<KindRow>`
    SELECT f."id", f."workspaceId", k."mediaKind", sum(k."bytes") AS "bytes", sum(k."fileCount") AS "fileCount"
    FROM (
      SELECT "parentId" AS "folderId", "mediaKind", "size" AS "bytes", 1 AS "fileCount"
      FROM "entries" WHERE "parentId" IN (${sql.join(ids)}) AND "kind" = 'file'
      UNION ALL
      SELECT "folderId", "mediaKind", -"bytes", -"fileCount"
      FROM "folderKinds" WHERE "folderId" IN (${sql.join(ids)})
    ) k JOIN "entries" f ON f."id" = k."folderId"
    WHERE ${isNotPurged}
    GROUP BY f."id", f."workspaceId", k."mediaKind"
    HAVING sum(k."bytes") <> 0 OR sum(k."fileCount") <> 0`.execute(db)
  return rows
}

/** Recomputes the per-kind totals of a folder. */
export function repairKinds(ctx: ServiceContext, { id, workspaceId }: EntryKey): Promise<void> {
  return inLockedTransaction(ctx, [workspaceId], async ({ tx }) => {
    await tx.deleteFrom('folderKinds').where('folderId', '=', id).execute()
    await sql`INSERT INTO "folderKinds" ("folderId", "mediaKind", "bytes", "fileCount")
      SELECT "parentId", "mediaKind", sum("size"), count(*) FROM "entries"
      WHERE "parentId" = ${id} AND "kind" = 'file' GROUP BY "parentId", "mediaKind"`.execute(tx)
  })
}

/** The columns of a file that follow from its versions. */
export type FileFigures = Pick<
  EntryRow,
  'size' | 'olderBytes' | 'sha256' | 'mediaType' | 'contentModifiedAt'
>

/**
 * Sets the columns of a file that follow from its versions. The totals of its folders must be repaired
 * afterwards.
 */
export async function setFileFigures(tx: Tx, id: string, figures: FileFigures): Promise<void> {
  await tx.updateTable('entries').set(figures).where('id', '=', id).execute()
}
