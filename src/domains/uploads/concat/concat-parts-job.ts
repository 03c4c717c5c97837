import type { Db } from '../../../database/database.ts'
import type { Tx } from '../../../database/transaction.ts'
import { jobKind } from '../../../jobs/job-kind.ts'
import { hasten } from '../../../jobs/queue.ts'

/** The job that concatenates the parts of a final upload. */
export const concatPartsJob = jobKind('joinParts', (z) =>
  z.object({ uploadId: z.string(), partIds: z.array(z.string()) }),
)

type Concatenation = { uploadId: string; partIds: string[] }

const jobIdOf = (finalId: string) => `${concatPartsJob.kind}:${finalId}`

/** Enqueues the concatenation of a final upload. `runAt` is in milliseconds since 1970; default: at once. */
export const enqueueConcat = (tx: Tx, payload: Concatenation, runAt = 0): Promise<string> =>
  concatPartsJob.enqueue(tx, { id: jobIdOf(payload.uploadId), payload, runAt })

/** Runs the concatenation of a final upload as soon as possible, if it is still to be done. */
export const hastenConcat = (db: Db | Tx, finalId: string): Promise<void> =>
  hasten(db, jobIdOf(finalId))
