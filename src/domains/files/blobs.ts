import type { TxContext } from '../../context.ts'
import { prepared } from '../../database/query/prepared.ts'
import { enqueue } from '../../jobs/queue.ts'
import { addFigures } from '../workspaces/writes.ts'
import { type BlobRow, tellFiles } from './damage.ts'

/** Bytes that were adopted, and what they are. */
export type Blob = { id: string; size: number; sha256: string }

/** The job that unlinks what nobody refers to any more. */
export const SWEEP_BLOBS = 'sweepBlobs'

/** One more reference to a content: to the bytes that the workspace has of it, else to these. Answers with the blob referred to. */
export async function addReference(s: TxContext, workspaceId: string, blob: Blob): Promise<string> {
  const [known] = await referToKnown(s.tx, workspaceId, blob.sha256)
  if (known && known.damage !== null && known.id !== blob.id) return replace(s, known, blob)
  if (known) return known.id
  await insertBlob(s, { ...blob, workspaceId, refs: 1 })
  await addFigures(s, workspaceId, { storedBytes: blob.size })
  return blob.id
}

const referToKnown = prepared((db, workspaceId: string, sha256: string) =>
  db
    .updateTable('blobs')
    .set((eb) => ({ refs: eb('refs', '+', 1) }))
    .where('workspaceId', '=', workspaceId)
    .where('sha256', '=', sha256)
    .where('unreferencedAt', 'is', null)
    .returningAll(),
)

/** These were hashed as they came. */
const insertBlob = ({ tx, now }: TxContext, blob: Blob & { workspaceId: string; refs: number }) =>
  tx
    .insertInto('blobs')
    .values({ ...blob, unreferencedAt: null, verifiedAt: now() })
    .execute()

/** A good copy has come of bytes that were damaged: whatever referred to those refers to it, and is whole again. */
async function replace(s: TxContext, { id, workspaceId, refs }: BlobRow, good: Blob) {
  await forgetBlob(s, id)
  await insertBlob(s, { ...good, workspaceId, refs })
  await s.tx.updateTable('versions').set({ blobId: good.id }).where('blobId', '=', id).execute()
  await tellFiles(s, { id: good.id, workspaceId }, 'FILE_RECOVERED', {})
  return good.id
}

/** Nobody refers to it any more: no new reference finds it, and the sweeper unlinks it. */
async function forgetBlob({ tx, now }: TxContext, id: string) {
  const marks = { refs: 0, unreferencedAt: now() }
  await tx.updateTable('blobs').set(marks).where('id', '=', id).execute()
  await enqueue(tx, { kind: SWEEP_BLOBS, id: SWEEP_BLOBS, runAt: now() })
}

/** So many references less to each of these blobs. The last one gone marks the blob; no new reference finds it, and the sweeper unlinks it. */
export async function dropReferences(
  s: TxContext,
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
async function dropReference({ tx, now }: TxContext, id: string, count: number): Promise<number[]> {
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
