import { setTimeout as sleep } from 'node:timers/promises'
import { type Damage, verify } from '../../blobs/verify.ts'
import type { ServiceContext } from '../../context.ts'
import { StorageError } from '../../errors.ts'
import { type BlobRow, markDamaged, markVerified } from './damage.ts'

/** The job that reads all bytes, slowly, to find those that have changed. */
export const SCRUB_BLOBS = 'scrubBlobs'

type Scrubbing = {
  /** Within so long each blob is read once. */
  everyMs: number
  bytesPerSecond: number
  /** Hears of what could not be read. */
  failed?: (error: unknown, blobId: string) => void
}

const AT_ONCE = 100
/** What was found damaged is looked at again: somebody may have put it right. */
const AGAIN_MS = 86_400_000
/** To open a file takes its time, too. */
const LEAST_BYTES = 65_536
/** So many that are not there, one after the other: it may be the folder that is not there, or the bucket. Enough for an hour. */
const MOST_MISSING = 20

/**
 * Reads and hashes the blobs that nobody has read for `everyMs`, the longest unread first, and writes down what it finds: FAILED files,
 * and those that are whole again. Answers how many it has read; may be cut anywhere, and run anywhere.
 */
export async function scrubBlobs(
  ctx: ServiceContext,
  { everyMs, bytesPerSecond, failed }: Scrubbing,
  signal: AbortSignal,
): Promise<number> {
  const pace = pacer(bytesPerSecond, signal)
  let [count, missing] = [0, 0]
  for await (const blob of dueBlobs(ctx, everyMs)) {
    if (missing === MOST_MISSING) failed?.(new StorageError(nothingThere), blob.id)
    if (signal.aborted || missing === MOST_MISSING) break
    await pace(LEAST_BYTES)
    const flaw = await scrubOne(ctx, blob, pace).catch((error) => {
      if (!signal.aborted) failed?.(error, blob.id)
      return 'UNREADABLE' as const
    })
    missing = flaw === 'MISSING' ? missing + 1 : 0
    count += 1
  }
  return count
}

const nothingThere = `${MOST_MISSING} blobs in a row are not there; is the folder, or the bucket, the right one?`

type Pace = (bytes: number) => Promise<unknown> | undefined

/** What is found wrong is read again before it counts: it may have been changed on its way here. */
async function scrubOne(ctx: ServiceContext, blob: BlobRow, pace: Pace): Promise<Damage | null> {
  const look = () => verify(ctx.blobs, blob.id, blob, pace)
  const flaw = (await look()) && (await look())
  if (flaw === null) await markVerified(ctx, blob)
  else if (blob.damage === null) await markDamaged(ctx, blob.id, flaw)
  else await stillDamaged(ctx, blob)
  return flaw
}

const stillDamaged = ({ db, now }: ServiceContext, { id }: BlobRow) =>
  db.updateTable('blobs').set({ verifiedAt: now() }).where('id', '=', id).execute()

/** Those that are damaged, then all others; what cannot be read now is passed by until the next time. */
async function* dueBlobs({ db, now }: ServiceContext, everyMs: number): AsyncGenerator<BlobRow> {
  const damaged = db.selectFrom('blobs').selectAll().where('damage', 'is not', null)
  for (const blob of await damaged.where('verifiedAt', '<=', now() - AGAIN_MS).execute()) yield blob
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
      .limit(AT_ONCE)
      .execute()
    yield* due
    const [end] = due.slice(-1)
    if (!end || due.length < AT_ONCE) return
    last = end
  }
}

/** Sleeps as long as so many bytes may take; whoever has waited already waits no more for that. */
function pacer(bytesPerSecond: number, signal: AbortSignal): Pace {
  let free = performance.now()
  return (bytes) => {
    signal.throwIfAborted()
    free = Math.max(free, performance.now() - 1000) + (bytes / bytesPerSecond) * 1000
    const wait = free - performance.now()
    return wait > 5 ? sleep(wait, undefined, { signal }) : undefined
  }
}
