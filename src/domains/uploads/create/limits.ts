import { sql } from 'kysely'
import type { TxContext } from '../../../context.ts'
import { prepared } from '../../../database/query/prepared.ts'
import { lockUser, type Tx } from '../../../database/transaction.ts'
import { RateLimited } from '../../../errors/availability.ts'

/** Retry delay for clients, because limits free up as uploads are confirmed, canceled or expire. */
const RETRY_SECONDS = 60

/**
 * Throws RateLimited if one more upload of `bytes` bytes would exceed the limits of a user. Locks the user
 * until the transaction ends, so that concurrent requests cannot exceed the limits together.
 */
export async function checkUploadLimits(
  s: TxContext,
  userId: string,
  bytes: number,
): Promise<void> {
  const { uploads, reservedBytes } = await unfinishedOf(s.tx, userId)
  if (uploads >= s.limits.maxOpenUploads) {
    const message = `you have ${uploads} unfinished uploads (limit ${s.limits.maxOpenUploads}): ${remedy}`
    throw new RateLimited(RETRY_SECONDS, message)
  }
  assertByteLimit(s, reservedBytes, bytes)
}

/**
 * Throws RateLimited if `bytes` more bytes for an existing upload would exceed the limit of a user. Locks the
 * user like checkUploadLimits.
 */
export async function checkByteLimits(s: TxContext, userId: string, bytes: number): Promise<void> {
  const { reservedBytes } = await unfinishedOf(s.tx, userId)
  assertByteLimit(s, reservedBytes, bytes)
}

const remedy = 'confirm or cancel some of them first'

function assertByteLimit({ limits }: TxContext, reservedBytes: number, bytes: number) {
  if (reservedBytes + bytes <= limits.maxReservedBytes) return
  const message = `your unfinished uploads reserve ${reservedBytes} bytes, and ${bytes} more exceed the limit of ${limits.maxReservedBytes} bytes: ${remedy}`
  throw new RateLimited(RETRY_SECONDS, message)
}

async function unfinishedOf(tx: Tx, userId: string) {
  await lockUser(tx, userId)
  const [sums] = await sumsOfUser(tx, userId)
  return sums ?? { uploads: 0, reservedBytes: 0 }
}

/**
 * The condition for uploads that count towards the limits. It must equal the condition of the index.
 * Concatenated partial uploads do not count, because the server ends them itself.
 */
const unfinished = sql<boolean>`"status" IN ('CREATED', 'RECEIVING', 'RECEIVED', 'PROCESSING') AND "joinedInto" IS NULL`

const sumsOfUser = prepared((db, userId: string) =>
  db
    .selectFrom('uploads')
    .select((eb) => [
      eb.fn.countAll<number>().as('uploads'),
      eb.fn.coalesce(eb.fn.sum<number>('reservedBytes'), sql.lit(0)).as('reservedBytes'),
    ])
    .where('createdBy', '=', userId)
    .where(unfinished),
)
