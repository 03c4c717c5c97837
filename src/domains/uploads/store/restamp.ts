import { setTimeout as sleep } from 'node:timers/promises'
import type { BlobStore } from '../../../blobs/blob-store.ts'
import type { Db } from '../../../database/database.ts'
import type { Log } from '../../../log.ts'
import { isTakenOver, type StoreScope, stampStore } from './claim.ts'

const EVERY_MS = 60_000
/** A store or database that hangs must not keep a server from ending. */
const MAX_END_MS = 5000

type Restamping = AsyncDisposable & { blobs: BlobStore; restamp: () => Promise<void> }

/**
 * Stamps the store each minute in which something was written, and at the end: a copy of the database that lacks it does not know the
 * stamp, and deletes nothing. `blobs` is the same store, whose commits are noticed. Finds out, too, that another database uses it.
 */
export function keepStamped(s: StoreScope, log: Log): Restamping {
  // What is adopted is committed a little later, maybe after the next stamp.
  let due = 0
  let newest: string | null = null

  async function restamp() {
    const found = await s.blobs.record.read()
    // Where it vanished, another store may lie there by now: the next start finds out.
    if (!found) return
    const by = await isTakenOver(s, found, log)
    if (by === 'FOREIGN') return
    const before = newest
    newest = await newestActivity(s.db)
    if (newest !== before) due = Math.max(due, 1)
    if (due === 0 && by === null) return
    if (await stampStore(s, found, log)) due = Math.max(due - 1, 0)
  }

  const safely = () =>
    restamp().catch((err) => log.warn({ err }, 'the record of the store could not be written'))
  const timer = setInterval(safely, EVERY_MS).unref()
  return {
    restamp,
    blobs: {
      ...s.blobs,
      async commit(key) {
        due = 2
        await s.blobs.commit(key)
      },
    },
    async [Symbol.asyncDispose]() {
      clearInterval(timer)
      await Promise.race([safely(), sleep(MAX_END_MS, undefined, { ref: false })])
    },
  }
}

/** Changes with whatever is done: ids begin with the time, and the newest is found by a seek. */
async function newestActivity(db: Db) {
  const rows = db.selectFrom('activity').select('id').orderBy('id', 'desc').limit(1)
  return (await rows.executeTakeFirst())?.id ?? null
}
