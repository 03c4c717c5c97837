import { inTransaction, type Scope, type TxScope } from '../../scope.ts'
import { enqueue } from '../../jobs/queue.ts'
import type { RowLink } from '../tables/links.ts'
import type { UploadRow } from './rules.ts'

/** The job that goes on with a confirm whose process has died. */
export const RESUME_CONFIRM = 'resumeConfirm'

/** A confirm that is done by then needs no job. */
const LONG_MS = 1_000
/** So often it is looked after. */
const LOOK_MS = 10_000

export type ConfirmUpload = {
  uploadId: string
  /** What the client believes it has sent; checked beside what createUpload was told. */
  size?: number | null | undefined
  sha256?: string | null | undefined
  /** Of the version. */
  comment?: string | null | undefined
  /** A row of a linked table that comes with the file or not at all; of the confirm that makes the file, and no later one. */
  linkRow?: RowLink | null | undefined
}

/** What a job has to know to go on: the claim that it looks after, whose it is, and what they want. */
export type LongConfirm = { fence: number; tokenId: string; input: ConfirmUpload }

/**
 * Puts a confirm that takes long into the queue, with all that it takes to go on with it: by then whoever asked may have been told
 * PROCESSING. Disposed in time, it costs nothing.
 */
export function queueWhenLong(scope: Scope, claimed: UploadRow, input: ConfirmUpload): Disposable {
  const { fence } = claimed
  const confirm = { fence, input, tokenId: scope.viewer?.tokenId ?? '' }
  const queue = () => inTransaction(scope, (s) => lookAfter(s, confirm))
  // Where the database does not take it there is no net: a confirm that dies then begins anew.
  const timer = setTimeout(() => void queue().catch(() => {}), LONG_MS).unref()
  return { [Symbol.dispose]: () => clearTimeout(timer) }
}

/** The job comes in a while, once more if it is there already. */
export const lookAfter = ({ tx, now }: TxScope, confirm: LongConfirm) =>
  enqueue(tx, {
    id: `confirm:${confirm.input.uploadId}:${confirm.fence}`,
    kind: RESUME_CONFIRM,
    payload: confirm,
    runAt: now() + LOOK_MS,
  })
