import { sql } from 'kysely'
import type { TxContext } from '../../context.ts'
import { prepared } from '../../database/query/prepared.ts'
import type { MediaKind } from '../../database/tables.ts'
import { addFigures } from '../workspaces/writes.ts'
import type { EntryRow } from './reads.ts'

/** What an entry weighs in the folders above it. */
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

/** Adds to a folder and to every folder above it. */
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

/** Counts living files directly in a folder by their kind. */
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

/** An entry with all it holds becomes part of a folder. */
export async function addToAncestors(
  s: TxContext,
  entry: EntryRow,
  folderId: string,
): Promise<void> {
  await addTotals(s, folderId, totalsOf(entry))
  if (entry.mediaKind) {
    await addKind(s, folderId, entry.mediaKind, { bytes: entry.size, fileCount: 1 })
  }
}

/** An entry with all it holds leaves a folder. */
export async function subtractFromAncestors(
  s: TxContext,
  entry: EntryRow,
  folderId: string,
): Promise<void> {
  await addTotals(s, folderId, negative(totalsOf(entry)))
  if (entry.mediaKind) {
    await addKind(s, folderId, entry.mediaKind, { bytes: -entry.size, fileCount: -1 })
  }
}

/** An entry with all it holds comes into the trash (1) or leaves it (-1). */
export const countTrashed = (s: TxContext, entry: EntryRow, sign: 1 | -1) =>
  addFigures(s, entry.workspaceId, { trashedBytes: sign * (entry.size + entry.olderBytes) })

/** A copied folder counts what the folder it was copied from counts. */
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
