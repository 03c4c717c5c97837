import { sql } from 'kysely'
import type { TxContext } from '../../../context.ts'
import { prepared } from '../../../database/query/prepared.ts'
import { lockUser, type Tx } from '../../../database/transaction.ts'
import { RateLimited } from '../../../errors.ts'

/** Room comes as uploads are confirmed, cancelled or expire: sooner than this nobody has to ask. */
const RETRY_SECONDS = 60

/**
 * Lets a user begin one more upload, with room for `bytes` reserved; exactly so many as may be, for until the transaction ends no
 * other begins one for the same user. Throws RateLimited.
 */
export async function checkUploadLimits(
  s: TxContext,
  userId: string,
  bytes: number,
): Promise<void> {
  const { uploads, reservedBytes } = await unfinishedOf(s.tx, userId)
  if (uploads >= s.limits.maxOpenUploads) {
    throw new RateLimited(RETRY_SECONDS, `${uploads} of your uploads are unfinished: ${remedy}`)
  }
  refuseTooMuch(s, reservedBytes, bytes)
}

/** The same for `bytes` more of an upload that was begun before. */
export async function checkByteLimits(s: TxContext, userId: string, bytes: number): Promise<void> {
  const { reservedBytes } = await unfinishedOf(s.tx, userId)
  refuseTooMuch(s, reservedBytes, bytes)
}

const remedy = 'no more are taken before some are confirmed or cancelled'

function refuseTooMuch({ limits }: TxContext, reservedBytes: number, bytes: number) {
  if (reservedBytes + bytes <= limits.maxReservedBytes) return
  const held = `your unfinished uploads hold room for ${reservedBytes} of ${limits.maxReservedBytes} bytes`
  throw new RateLimited(RETRY_SECONDS, `${held}, ${bytes} more are too many: ${remedy}`)
}

async function unfinishedOf(tx: Tx, userId: string) {
  await lockUser(tx, userId)
  const [sums] = await summed(tx, userId)
  return sums ?? { uploads: 0, reservedBytes: 0 }
}

/** As the index says it, word for word. A part that was joined waits for the house alone. */
const unfinished = sql<boolean>`"status" IN ('CREATED', 'RECEIVING', 'RECEIVED', 'PROCESSING') AND "joinedInto" IS NULL`

const summed = prepared((db, userId: string) =>
  db
    .selectFrom('uploads')
    .select((eb) => [
      eb.fn.countAll<number>().as('uploads'),
      eb.fn.coalesce(eb.fn.sum<number>('reservedBytes'), sql.lit(0)).as('reservedBytes'),
    ])
    .where('createdBy', '=', userId)
    .where(unfinished),
)
