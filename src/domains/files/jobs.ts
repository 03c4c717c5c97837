import type { BlobStore } from '../../blobs/blob-store.ts'
import type { Db } from '../../database/database.ts'

const AT_ONCE = 100

/** Unlinks the bytes of blobs without a reference, then forgets them; cut anywhere, it is simply done again. */
export async function sweepBlobs(
  { db, blobs }: { db: Db; blobs: BlobStore },
  signal: AbortSignal,
): Promise<void> {
  while (!signal.aborted) {
    const unreferenced = await db
      .selectFrom('blobs')
      .select('id')
      .where('unreferencedAt', 'is not', null)
      .limit(AT_ONCE)
      .execute()
    for (const { id } of unreferenced) {
      await blobs.remove(id)
      await db.deleteFrom('blobs').where('id', '=', id).execute()
    }
    if (unreferenced.length < AT_ONCE) return
  }
}
