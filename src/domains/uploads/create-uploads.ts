import { inTransaction, type Scope } from '../../scope.ts'
import type { BatchMode } from '../entries/batch.ts'
import { endUpload } from './endings.ts'
import { apart, asDomainError, checkBatchSize, done, noneDone, type UploadOutcome } from './outcomes.ts'
import type { UploadRow } from './rules.ts'
import { createUpload, type NewUpload, prepareUpload, stage } from './writes.ts'

type CreateUploads = { uploads: readonly NewUpload[]; mode: BatchMode }

/** createUpload for 1 to 100: in one transaction (ALL_OR_NOTHING), or each in its own (BEST_EFFORT). Throws InvalidInput. */
export async function createUploads(scope: Scope, { uploads, mode }: CreateUploads) {
  checkBatchSize(uploads)
  if (mode === 'BEST_EFFORT') return apart(uploads, (input) => createUpload(scope, input))
  return together(scope, uploads)
}

async function together(scope: Scope, inputs: readonly NewUpload[]): Promise<UploadOutcome[]> {
  let index = 0
  const made: UploadRow[] = []
  try {
    await inTransaction(scope, async (s) => {
      for (; index < inputs.length; index++) {
        made.push(await prepareUpload(s, inputs[index] as NewUpload))
      }
    })
    for (index = 0; index < made.length; index++) await stage(scope, made[index] as UploadRow)
    return made.map(done)
  } catch (error) {
    const reason = asDomainError(error)
    await inTransaction(scope, async (s) => {
      for (const { id } of made) await endUpload(s, { id }, 'CANCELED', { idempotencyKey: null })
    })
    return noneDone(inputs, index, reason)
  }
}
