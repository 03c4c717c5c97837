import { inTransaction, type Scope } from '../../../context.ts'
import type { BatchMode } from '../../entries/batch.ts'
import {
  apart,
  asDomainError,
  checkBatchSize,
  done,
  noneDone,
  type UploadOutcome,
} from '../batch.ts'
import type { UploadRow } from '../rules.ts'
import { endUpload, forgetBytes } from '../terminate.ts'
import { createUpload, isUntouched, prepareUpload, stageUpload } from '../writes.ts'
import type { NewUpload } from './upload-row.ts'

type CreateUploads = { uploads: readonly NewUpload[]; mode: BatchMode }

/** createUpload for 1 to 100: in one transaction (ALL_OR_NOTHING), or each in its own (BEST_EFFORT). Throws InvalidInput. */
export async function createUploads(scope: Scope, { uploads, mode }: CreateUploads) {
  checkBatchSize(uploads)
  if (mode === 'BEST_EFFORT') {
    return apart(uploads, async (input, turn) => ({
      outcome: turn.comes.then(() => createUpload(scope, input)),
    }))
  }
  return together(scope, uploads)
}

async function together(scope: Scope, inputs: readonly NewUpload[]): Promise<UploadOutcome[]> {
  let index = 0
  try {
    const made = await inTransaction(scope, async (s) => {
      const rows: UploadRow[] = []
      for (index = 0; index < inputs.length; index++) {
        rows.push(await prepareUpload(s, inputs[index] as NewUpload))
      }
      return rows
    })
    return await stageAll(scope, made)
  } catch (error) {
    return noneDone(inputs, index, asDomainError(error))
  }
}

/** Where the disk has no place for one, none of them stays. */
async function stageAll(scope: Scope, made: UploadRow[]): Promise<UploadOutcome[]> {
  const staged = await Promise.allSettled(made.map((upload) => stageUpload(scope, upload)))
  for (const [index, outcome] of staged.entries()) {
    if (outcome.status === 'fulfilled') continue
    await dropAll(scope, made.filter(isUntouched))
    return noneDone(made, index, asDomainError(outcome.reason))
  }
  return made.map(done)
}

async function dropAll(scope: Scope, uploads: UploadRow[]) {
  await inTransaction(scope, async (s) => {
    for (const { id } of uploads) await endUpload(s, { id }, 'CANCELED', { idempotencyKey: null })
  })
  for (const { id } of uploads) await forgetBytes(scope.blobs, id)
}
