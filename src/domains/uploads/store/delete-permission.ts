import type { Log } from '../../../log.ts'
import { isTakenOver, type StoreContext } from './claim.ts'
import { isPaused } from './installation.ts'

/** Time for which the result of reading the record of the store is cached. */
const CACHE_TTL_MS = 5000

/**
 * Creates a function that must be called before bytes are deleted. It resolves to false if sweeping is
 * paused, if the store was used with another database, or if the record of the store cannot be read. It reads
 * the record at most once in CACHE_TTL_MS.
 */
export function deletePermission(s: StoreContext, log: Log): () => Promise<boolean> {
  let [cached, cachedUntil]: [Promise<boolean> | null, number] = [null, 0]

  async function readRecord() {
    const found = await s.blobs.record.read()
    return (await isTakenOver(s, found, log)) === null
  }

  return async () => {
    if (await isPaused(s.db)) return false
    // Not ctx.now: tests and administrators can change that clock.
    if (!cached || performance.now() > cachedUntil) {
      cachedUntil = performance.now() + CACHE_TTL_MS
      cached = readRecord().catch((err) => {
        log.error({ err }, 'nothing is deleted: the record of the store could not be read')
        return false
      })
    }
    return cached
  }
}
