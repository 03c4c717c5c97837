import { setTimeout as sleep } from 'node:timers/promises'
import { type Damage, verify } from '../../blobs/verify.ts'
import type { ServiceContext } from '../../context.ts'
import { StorageError } from '../../errors/availability.ts'
import { type BlobRow, markDamaged, markVerified } from './damage.ts'

/** Kind of the job that reads all stored bytes at a limited rate to detect damage. */
export const SCRUB_BLOBS = 'scrubBlobs'

type ScrubOptions = {
  /** Interval, in milliseconds, in which each blob is read once. */
  everyMs: number
  bytesPerSecond: number
  /** Called for each blob that cannot be read. */
  failed?: (error: unknown, blobId: string) => void
}

const BATCH_SIZE = 100
/** Interval after which a damaged blob is read again, because an operator may have restored it. */
const DAMAGED_RECHECK_MS = 86_400_000
/** Bytes charged per blob for opening it. */
const OPEN_COST_BYTES = 65_536
/**
 * Number of consecutive missing blobs after which the run ends, because the folder or bucket itself is
 * probably missing.
 */
const MAX_CONSECUTIVE_MISSING = 20

/**
 * Reads and hashes the blobs that were not verified for `everyMs` milliseconds, starting with the longest
 * unverified. Marks damaged blobs, whose files become FAILED, and clears the mark of recovered ones. Returns
 * the number of blobs read. Can be interrupted at any point.
 */
export async function scrubBlobs(
  ctx: ServiceContext,
  { everyMs, bytesPerSecond, failed }: ScrubOptions,
  signal: AbortSignal,
): Promise<number> {
  const pace = createPacer(bytesPerSecond, signal)
  let [count, missing] = [0, 0]
  for await (const blob of dueBlobs(ctx, everyMs)) {
    if (missing === MAX_CONSECUTIVE_MISSING) failed?.(new StorageError(storeMissing), blob.id)
    if (signal.aborted || missing === MAX_CONSECUTIVE_MISSING) break
    await pace(OPEN_COST_BYTES)
    const damage = await scrubOne(ctx, blob, pace).catch((error) => {
      if (!signal.aborted) failed?.(error, blob.id)
      return 'UNREADABLE' as const
    })
    missing = damage === 'MISSING' ? missing + 1 : 0
    count += 1
  }
  return count
}

const storeMissing = `${MAX_CONSECUTIVE_MISSING} consecutive blobs are missing; check the blob folder or bucket`

type Pace = (bytes: number) => Promise<unknown> | undefined

/**
 * Reads one blob and records the result. Damage counts only if a second read confirms it, because the first
 * read may have been corrupted in transit.
 */
async function scrubOne(ctx: ServiceContext, blob: BlobRow, pace: Pace): Promise<Damage | null> {
  const check = () => verify(ctx.blobs, blob.id, blob, pace)
  const damage = (await check()) && (await check())
  if (damage === null) await markVerified(ctx, blob)
  else if (blob.damage === null) await markDamaged(ctx, blob.id, damage)
  else await setVerifiedAt(ctx, blob)
  return damage
}

const setVerifiedAt = ({ db, now }: ServiceContext, { id }: BlobRow) =>
  db.updateTable('blobs').set({ verifiedAt: now() }).where('id', '=', id).execute()

/**
 * Yields the damaged blobs that are due, then all other blobs that are due. A blob that cannot be read stays
 * due and is retried in the next run.
 */
async function* dueBlobs({ db, now }: ServiceContext, everyMs: number): AsyncGenerator<BlobRow> {
  const damaged = db.selectFrom('blobs').selectAll().where('damage', 'is not', null)
  for (const blob of await damaged.where('verifiedAt', '<=', now() - DAMAGED_RECHECK_MS).execute())
    yield blob
  const until = now() - everyMs
  for (let last = { verifiedAt: -1, id: '' }; ; ) {
    const due = await db
      .selectFrom('blobs')
      .selectAll()
      .where('unreferencedAt', 'is', null)
      .where('verifiedAt', '<=', until)
      .where((eb) =>
        eb.or([
          eb('verifiedAt', '>', last.verifiedAt),
          eb.and([eb('verifiedAt', '=', last.verifiedAt), eb('id', '>', last.id)]),
        ]),
      )
      .orderBy('verifiedAt')
      .orderBy('id')
      .limit(BATCH_SIZE)
      .execute()
    yield* due
    const [end] = due.slice(-1)
    if (!end || due.length < BATCH_SIZE) return
    last = end
  }
}

/**
 * Returns a function that sleeps as needed to keep the rate. It credits up to one second of earlier idle
 * time.
 */
function createPacer(bytesPerSecond: number, signal: AbortSignal): Pace {
  let nextFreeMs = performance.now()
  return (bytes) => {
    signal.throwIfAborted()
    nextFreeMs = Math.max(nextFreeMs, performance.now() - 1000) + (bytes / bytesPerSecond) * 1000
    const waitMs = nextFreeMs - performance.now()
    return waitMs > 5 ? sleep(waitMs, undefined, { signal }) : undefined
  }
}
