import type { TxContext } from '../../context.ts'
import { prepared } from '../../database/query/prepared.ts'
import { enqueue } from '../../jobs/queue.ts'
import { addFigures } from '../workspaces/writes.ts'
import { type BlobRow, logForFiles } from './damage.ts'

/** Committed bytes: key, size in bytes and SHA-256 hash. */
export type Blob = { id: string; size: number; sha256: string }

/** Kind of the job that deletes unreferenced blobs. */
export const SWEEP_BLOBS = 'sweepBlobs'

/**
 * Adds a reference to content and returns the id of the referenced blob: the existing blob of the workspace
 * with the same hash, or else `blob`. If the existing blob is damaged, `blob` replaces it.
 */
export async function addReference(
  ctx: TxContext,
  workspaceId: string,
  blob: Blob,
): Promise<string> {
  const [existing] = await incrementReferences(ctx.tx, workspaceId, blob.sha256)
  if (existing && existing.damage !== null && existing.id !== blob.id)
    return replaceDamaged(ctx, existing, blob)
  if (existing) return existing.id
  await insertBlob(ctx, { ...blob, workspaceId, refs: 1 })
  await addFigures(ctx, workspaceId, { storedBytes: blob.size })
  return blob.id
}

const incrementReferences = prepared((db, workspaceId: string, sha256: string) =>
  db
    .updateTable('blobs')
    .set((eb) => ({ refs: eb('refs', '+', 1) }))
    .where('workspaceId', '=', workspaceId)
    .where('sha256', '=', sha256)
    .where('unreferencedAt', 'is', null)
    .returningAll(),
)

/** verifiedAt is the current time, because the bytes were hashed while they were received. */
const insertBlob = ({ tx, now }: TxContext, blob: Blob & { workspaceId: string; refs: number }) =>
  tx
    .insertInto('blobs')
    .values({ ...blob, unreferencedAt: null, verifiedAt: now() })
    .execute()

/** Points all versions of a damaged blob at an intact copy and logs the recovery. */
async function replaceDamaged(ctx: TxContext, { id, workspaceId, refs }: BlobRow, good: Blob) {
  await markUnreferenced(ctx, id)
  await insertBlob(ctx, { ...good, workspaceId, refs })
  await ctx.tx.updateTable('versions').set({ blobId: good.id }).where('blobId', '=', id).execute()
  await logForFiles(ctx, { id: good.id, workspaceId }, 'FILE_RECOVERED', {})
  return good.id
}

/** Marks a blob as unreferenced: it receives no new references, and the sweep job deletes it. */
async function markUnreferenced({ tx, now }: TxContext, id: string) {
  const marks = { refs: 0, unreferencedAt: now() }
  await tx.updateTable('blobs').set(marks).where('id', '=', id).execute()
  await enqueue(tx, { kind: SWEEP_BLOBS, id: SWEEP_BLOBS, runAt: now() })
}

/**
 * Removes references to blobs. `counts` maps blob ids to the number of references to remove. A blob without
 * references gets no new ones, and the sweep job deletes it.
 */
export async function dropReferences(
  ctx: TxContext,
  workspaceId: string,
  counts: ReadonlyMap<string, number>,
): Promise<void> {
  const freedSizes: number[] = []
  for (const [id, count] of counts) freedSizes.push(...(await dropReference(ctx, id, count)))
  if (freedSizes.length === 0) return
  const storedBytes = -freedSizes.reduce((sum, size) => sum + size)
  await addFigures(ctx, workspaceId, { storedBytes })
  await enqueue(ctx.tx, { kind: SWEEP_BLOBS, id: SWEEP_BLOBS, runAt: ctx.now() })
}

/**
 * Removes references to one blob. Returns the size of the blob if no reference is left, otherwise an empty
 * array.
 */
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
