import { sql } from 'kysely'
import type { TxContext } from '../../context.ts'
import { prepared } from '../../database/query/prepared.ts'
import type { MediaKind } from '../../database/tables.ts'
import { addFigures } from '../workspaces/writes.ts'
import type { EntryRow } from './reads.ts'

/** What an entry contributes to the totals of the folders above it. Sizes are in bytes. */
export type Totals = { size: number; olderBytes: number; fileCount: number; folderCount: number }

const totalsOf = (entry: EntryRow): Totals =>
  entry.kind === 'folder'
    ? { ...entry, folderCount: entry.folderCount + 1 }
    : { ...entry, fileCount: 1, folderCount: 0 }

const negative = ({ size, olderBytes, fileCount, folderCount }: Totals): Totals => ({
  size: -size,
  olderBytes: -olderBytes,
  fileCount: -fileCount,
  folderCount: -folderCount,
})

/** Adds `by` to the totals of a folder and of every folder above it. */
export async function addTotals({ tx }: TxContext, folderId: string, by: Totals): Promise<void> {
  await sql`
    UPDATE "entries" SET
      "size" = "size" + ${by.size},
      "olderBytes" = "olderBytes" + ${by.olderBytes},
      "fileCount" = "fileCount" + ${by.fileCount},
      "folderCount" = "folderCount" + ${by.folderCount}
    WHERE "id" IN (
      WITH RECURSIVE up("id", "parentId") AS (
        SELECT "id", "parentId" FROM "entries" WHERE "id" = ${folderId}
        UNION ALL
        SELECT e."id", e."parentId" FROM "entries" e JOIN up ON e."id" = up."parentId"
      )
      SELECT "id" FROM up
    )`.execute(tx)
}

/** Adds to the per-kind totals of a folder, which count the live files directly in it. */
export async function addKind(
  { tx }: TxContext,
  folderId: string,
  mediaKind: MediaKind,
  { bytes, fileCount }: { bytes: number; fileCount: number },
): Promise<void> {
  await addToKind(tx, folderId, mediaKind, bytes, fileCount)
}

const addToKind = prepared(
  (db, folderId: string, mediaKind: MediaKind, bytes: number, fileCount: number) =>
    db
      .insertInto('folderKinds')
      .values({ folderId, mediaKind, bytes, fileCount })
      .onConflict((c) =>
        c.columns(['folderId', 'mediaKind']).doUpdateSet((eb) => ({
          bytes: eb('folderKinds.bytes', '+', bytes),
          fileCount: eb('folderKinds.fileCount', '+', fileCount),
        })),
      ),
)

/** Adds an entry with its subtree to the totals of its new parent and of the folders above. */
export async function addToAncestors(
  ctx: TxContext,
  entry: EntryRow,
  folderId: string,
): Promise<void> {
  await addTotals(ctx, folderId, totalsOf(entry))
  if (entry.mediaKind) {
    await addKind(ctx, folderId, entry.mediaKind, { bytes: entry.size, fileCount: 1 })
  }
}

/** Subtracts an entry with its subtree from the totals of its old parent and of the folders above. */
export async function subtractFromAncestors(
  ctx: TxContext,
  entry: EntryRow,
  folderId: string,
): Promise<void> {
  await addTotals(ctx, folderId, negative(totalsOf(entry)))
  if (entry.mediaKind) {
    await addKind(ctx, folderId, entry.mediaKind, { bytes: -entry.size, fileCount: -1 })
  }
}

/** Adds an entry with its subtree to the trash size of the workspace (sign 1), or subtracts it (-1). */
export const countTrashed = (ctx: TxContext, entry: EntryRow, sign: 1 | -1) =>
  addFigures(ctx, entry.workspaceId, { trashedBytes: sign * (entry.size + entry.olderBytes) })

/** Copies the per-kind totals of the folder `from` to its copy `to`. */
export async function copyKinds({ tx }: TxContext, from: string, to: string): Promise<void> {
  await tx
    .insertInto('folderKinds')
    .columns(['folderId', 'mediaKind', 'bytes', 'fileCount'])
    .expression((eb) =>
      eb
        .selectFrom('folderKinds')
        .select((q) => [q.val(to).as('folderId'), 'mediaKind', 'bytes', 'fileCount'])
        .where('folderId', '=', from),
    )
    .execute()
}
