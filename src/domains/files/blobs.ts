import { enqueue } from '../../jobs/queue.ts'
import type { TxScope } from '../../scope.ts'
import { addFigures } from '../workspaces/writes.ts'

/** Bytes that were adopted, and what they are. */
export type Blob = { id: string; size: number; sha256: string }

/** The job that unlinks what nobody refers to any more. */
export const SWEEP_BLOBS = 'sweepBlobs'

/** One more reference to a content: to the bytes that the workspace has of it, else to these. Answers with the blob referred to. */
export async function referTo(s: TxScope, workspaceId: string, blob: Blob): Promise<string> {
  const known = await s.tx
    .updateTable('blobs')
    .set((eb) => ({ refs: eb('refs', '+', 1) }))
    .where('workspaceId', '=', workspaceId)
    .where('sha256', '=', blob.sha256)
    .where('unreferencedAt', 'is', null)
    .returning('id')
    .executeTakeFirst()
  if (known) return known.id
  await s.tx
    .insertInto('blobs')
    .values({ ...blob, workspaceId, refs: 1, unreferencedAt: null })
    .execute()
  await addFigures(s, workspaceId, { storedBytes: blob.size })
  return blob.id
}

/** So many references less to each of these blobs. The last one gone marks the blob; no new reference finds it, and the sweeper unlinks it. */
export async function dropReferences(
  s: TxScope,
  workspaceId: string,
  counts: ReadonlyMap<string, number>,
): Promise<void> {
  const freed: number[] = []
  for (const [id, count] of counts) freed.push(...(await dropReference(s, id, count)))
  if (freed.length === 0) return
  await addFigures(s, workspaceId, { storedBytes: -freed.reduce((sum, size) => sum + size) })
  await enqueue(s.tx, { kind: SWEEP_BLOBS, id: SWEEP_BLOBS, runAt: s.now() })
}

/** The size of the blob, where that was its last reference. */
async function dropReference({ tx, now }: TxScope, id: string, count: number): Promise<number[]> {
  const { refs, size } = await tx
    .updateTable('blobs')
    .set((eb) => ({ refs: eb('refs', '-', count) }))
    .where('id', '=', id)
    .returning(['refs', 'size'])
    .executeTakeFirstOrThrow()
  if (refs > 0) return []
  await tx.updateTable('blobs').set({ unreferencedAt: now() }).where('id', '=', id).execute()
  return [size]
}
