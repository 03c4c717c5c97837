import { crc32 } from 'node:zlib'
import type { ServiceContext } from '../../context.ts'
import type { Db } from '../../database/database.ts'

type Known = { blobId: string; crc32: number }

/** The CRC-32 of each of these blobs: as it was remembered, else by reading the bytes once more. */
export async function crcsOf(
  { db, blobs }: ServiceContext,
  blobIds: string[],
): Promise<Map<string, number>> {
  if (blobIds.length === 0) return new Map()
  const rows = await db.selectFrom('blobCrcs').selectAll().where('blobId', 'in', blobIds).execute()
  const crcs = new Map(rows.map((row) => [row.blobId, row.crc32]))
  const missing = [...new Set(blobIds)].filter((id) => !crcs.has(id))
  for (const blobId of missing) crcs.set(blobId, await read({ blobs }, blobId))
  await rememberCrcs(
    db,
    missing.map((blobId) => ({ blobId, crc32: crcs.get(blobId) ?? 0 })),
  )
  return crcs
}

async function read({ blobs }: Pick<ServiceContext, 'blobs'>, blobId: string): Promise<number> {
  let crc = 0
  for await (const chunk of await blobs.open(blobId)) crc = crc32(chunk, crc)
  return crc
}

/** Of bytes that are gone by now nothing is remembered. */
export async function rememberCrcs(db: Db, known: Known[]): Promise<void> {
  if (known.length === 0) return
  const there = await db
    .selectFrom('blobs')
    .select('id')
    .where(
      'id',
      'in',
      known.map(({ blobId }) => blobId),
    )
    .execute()
  const ids = new Set(there.map(({ id }) => id))
  const rows = known.filter(({ blobId }) => ids.has(blobId))
  if (rows.length === 0) return
  await db
    .insertInto('blobCrcs')
    .values(rows)
    .onConflict((c) => c.doNothing())
    .execute()
}
