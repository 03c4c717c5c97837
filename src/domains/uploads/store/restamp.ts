import type { BlobStore } from '../../../blobs/blob-store.ts'
import { withDeadline } from '../../../concurrency/deadline.ts'
import type { Db } from '../../../database/database.ts'
import type { Log } from '../../../log.ts'
import { isTakenOver, type StoreContext, stampStore } from './claim.ts'

const STAMP_INTERVAL_MS = 60_000
/** A store or database that hangs must not block the shutdown of the server for longer than this. */
const SHUTDOWN_TIMEOUT_MS = 5000

type Restamping = AsyncDisposable & { blobs: BlobStore; restamp: () => Promise<void> }

/**
 * Stamps the store every minute with writes, and at shutdown: an older copy of the database does not know the
 * stamp and therefore deletes nothing. Use the returned `blobs` instead of the original store, so that
 * commits are noticed. Also detects that another database uses the store.
 */
export function keepStamped(s: StoreContext, log: Log): Restamping {
  // A commit needs two stamps, because the database row of a blob is written after the commit, possibly after
  // the next stamp.
  let dueStamps = 0
  let newest: string | null = null

  async function restamp() {
    const found = await s.blobs.record.read()
    // If the record is missing, the store may have been replaced. The next startup checks that.
    if (!found) return
    const takenOver = await isTakenOver(s, found, log)
    if (takenOver === 'FOREIGN') return
    const before = newest
    newest = await newestActivity(s.db)
    if (newest !== before) dueStamps = Math.max(dueStamps, 1)
    if (dueStamps === 0 && takenOver === null) return
    if (await stampStore(s, found, log)) dueStamps = Math.max(dueStamps - 1, 0)
  }

  const restampSafely = () =>
    restamp().catch((err) => log.warn({ err }, 'the record of the store could not be written'))
  const timer = setInterval(restampSafely, STAMP_INTERVAL_MS).unref()
  return {
    restamp,
    blobs: {
      ...s.blobs,
      async commit(key) {
        dueStamps = 2
        await s.blobs.commit(key)
      },
    },
    async [Symbol.asyncDispose]() {
      clearInterval(timer)
      await withDeadline(restampSafely(), SHUTDOWN_TIMEOUT_MS, undefined)
    },
  }
}

/**
 * Returns the newest activity id, which changes with every write. Ids start with the time, so this takes one
 * index lookup.
 */
async function newestActivity(db: Db) {
  const rows = db.selectFrom('activity').select('id').orderBy('id', 'desc').limit(1)
  return (await rows.executeTakeFirst())?.id ?? null
}
