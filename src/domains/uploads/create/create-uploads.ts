import { inTransaction, type ServiceContext } from '../../../context.ts'
import type { BatchMode } from '../../entries/batch.ts'
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

/** createUpload for 1 to 100: in one transaction (ALL_OR_NOTHING), or each in its own (BEST_EFFORT). Throws InvalidInput. */
export async function createUploads(ctx: ServiceContext, { uploads, mode }: CreateUploads) {
  checkBatchSize(uploads)
  if (mode === 'BEST_EFFORT') {
    return runIndependently(uploads, async (input, turn) => ({
      outcome: turn.comes.then(() => createUpload(ctx, input)),
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
    const made = await inTransaction(ctx, async (s) => {
      const rows: UploadRow[] = []
      for (index = 0; index < inputs.length; index++) {
        rows.push(await prepareUpload(s, inputs[index] as NewUpload))
      }
      return rows
    })
    return await stageAll(ctx, made)
  } catch (error) {
    return allAborted(inputs, index, toDomainError(error))
  }
}

/** Where the disk has no place for one, none of them stays. */
async function stageAll(ctx: ServiceContext, made: UploadRow[]): Promise<UploadOutcome[]> {
  const staged = await Promise.allSettled(made.map((upload) => stageUpload(ctx, upload)))
  for (const [index, outcome] of staged.entries()) {
    if (outcome.status === 'fulfilled') continue
    await dropAll(ctx, made.filter(isUntouched))
    return allAborted(made, index, toDomainError(outcome.reason))
  }
  return made.map(succeeded)
}

async function dropAll(ctx: ServiceContext, uploads: UploadRow[]) {
  await inTransaction(ctx, async (s) => {
    for (const { id } of uploads)
      await terminateUpload(s, { id }, 'CANCELED', { idempotencyKey: null })
  })
  for (const { id } of uploads) await deleteBytes(ctx.blobs, id)
}
