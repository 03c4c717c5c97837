import type { Log } from '../../../log.ts'
import { isTakenOver, type StoreScope } from './claim.ts'
import { isPaused } from './installation.ts'

/** So long one look at the record of the store holds. */
const LOOK_MS = 5000

/**
 * Asked before bytes are deleted: false while sweeping is paused, where the store was used with another database, and where that cannot
 * be found out. The record of the store is read at most every few seconds.
 */
export function deletePermission(s: StoreScope, log: Log): () => Promise<boolean> {
  let [looked, until]: [Promise<boolean> | null, number] = [null, 0]

  async function look() {
    const found = await s.blobs.record.read()
    return (await isTakenOver(s, found, log)) === null
  }

  return async () => {
    if (await isPaused(s.db)) return false
    // Not the clock of the rows, which tests and administrators set.
    if (!looked || performance.now() > until) {
      until = performance.now() + LOOK_MS
      looked = look().catch((err) => {
        log.error({ err }, 'nothing is deleted: the record of the store could not be read')
        return false
      })
    }
    return looked
  }
}
