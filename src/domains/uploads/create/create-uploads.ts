import { inLockedTransaction, type ServiceContext } from '../../../context.ts'
import type { BatchMode } from '../../entries/batch.ts'
import { inWorkspaceTransaction } from '../../workspaces/transaction.ts'
import {
  allAborted,
  checkBatchSize,
  runIndependently,
  succeeded,
  toDomainError,
  type UploadOutcome,
} from '../batch.ts'
import type { UploadRow } from '../rules.ts'
import { deleteBytes, terminateUpload } from '../terminate.ts'
import { createUpload, isUntouched, prepareUpload, stageUpload } from '../writes.ts'
import type { NewUpload } from './upload-row.ts'

type CreateUploads = { uploads: readonly NewUpload[]; mode: BatchMode }

/**
 * Creates 1 to 100 uploads, all in one transaction (ALL_OR_NOTHING) or each in its own (BEST_EFFORT). Returns
 * one result for each item. Throws InvalidInput for the wrong number of items.
 */
export async function createUploads(ctx: ServiceContext, { uploads, mode }: CreateUploads) {
  checkBatchSize(uploads)
  if (mode === 'BEST_EFFORT') {
    return runIndependently(uploads, async (input, turn) => ({
      outcome: turn.ready.then(() => createUpload(ctx, input)),
    }))
  }
  return runAtomically(ctx, uploads)
}

async function runAtomically(
  ctx: ServiceContext,
  inputs: readonly NewUpload[],
): Promise<UploadOutcome[]> {
  let index = 0
  try {
    const workspaceIds = inputs.map(({ workspaceId }) => workspaceId)
    const created = await inWorkspaceTransaction(ctx, workspaceIds, async (s) => {
      const rows: UploadRow[] = []
      for (index = 0; index < inputs.length; index++) {
        rows.push(await prepareUpload(s, inputs[index] as NewUpload))
      }
      return rows
    })
    return await stageAll(ctx, created)
  } catch (error) {
    return allAborted(inputs, index, toDomainError(error))
  }
}

/** Stages all uploads. If one fails, for example because the disk is full, cancels all of them. */
async function stageAll(ctx: ServiceContext, created: UploadRow[]): Promise<UploadOutcome[]> {
  const staged = await Promise.allSettled(created.map((upload) => stageUpload(ctx, upload)))
  for (const [index, outcome] of staged.entries()) {
    if (outcome.status === 'fulfilled') continue
    await cancelAll(ctx, created.filter(isUntouched))
    return allAborted(created, index, toDomainError(outcome.reason))
  }
  return created.map(succeeded)
}

async function cancelAll(ctx: ServiceContext, uploads: UploadRow[]) {
  const workspaceIds = uploads.map(({ workspaceId }) => workspaceId)
  await inLockedTransaction(ctx, workspaceIds, async (s) => {
    for (const { id } of uploads)
      await terminateUpload(s, { id }, 'CANCELED', { idempotencyKey: null })
  })
  for (const { id } of uploads) await deleteBytes(ctx.blobs, id)
}
