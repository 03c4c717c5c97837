import { crc32 } from 'node:zlib'
import type { ServiceContext } from '../../../context.ts'
import type { Db } from '../../../database/database.ts'

type BlobCrc = { blobId: string; crc32: number }

/**
 * Returns the CRC-32 of each blob from the database. Computes and stores those that are missing. Throws
 * StorageError.
 */
export async function crcsOf(
  { db, blobs }: ServiceContext,
  blobIds: string[],
): Promise<Map<string, number>> {
  if (blobIds.length === 0) return new Map()
  const rows = await db.selectFrom('blobCrcs').selectAll().where('blobId', 'in', blobIds).execute()
  const crcs = new Map(rows.map((row) => [row.blobId, row.crc32]))
  const missing = [...new Set(blobIds)].filter((id) => !crcs.has(id))
  for (const blobId of missing) crcs.set(blobId, await computeCrc({ blobs }, blobId))
  await saveCrcs(
    db,
    missing.map((blobId) => ({ blobId, crc32: crcs.get(blobId) ?? 0 })),
  )
  return crcs
}

async function computeCrc(
  { blobs }: Pick<ServiceContext, 'blobs'>,
  blobId: string,
): Promise<number> {
  let crc = 0
  for await (const chunk of await blobs.open(blobId)) crc = crc32(chunk, crc)
  return crc
}

/** Stores CRC-32 values, except those of blobs that no longer exist. */
export async function saveCrcs(db: Db, crcs: BlobCrc[]): Promise<void> {
  if (crcs.length === 0) return
  const existing = await db
    .selectFrom('blobs')
    .select('id')
    .where(
      'id',
      'in',
      crcs.map(({ blobId }) => blobId),
    )
    .execute()
  const ids = new Set(existing.map(({ id }) => id))
  const rows = crcs.filter(({ blobId }) => ids.has(blobId))
  if (rows.length === 0) return
  await db
    .insertInto('blobCrcs')
    .values(rows)
    .onConflict((c) => c.doNothing())
    .execute()
}
