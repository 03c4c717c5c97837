import type { Log } from '../../log.ts'

const PERIOD_MS = 1000
/** Maximum number of addresses in memory. */
const MAX_ADDRESSES = 10_000

type Failure = { at: number; unlogged: number }

/** Creates a function that logs failed authentications: at most one line per second and address. */
export function createAuthFailureLog({ log, now }: { log: Log; now: () => number }) {
  /** Failures by address, the least recently logged first. */
  const failures = new Map<string, Failure>()
  const isRecent = ({ at }: Failure) => Math.abs(now() - at) < PERIOD_MS

  /** Evicts the oldest address. Returns false if all are recent: then a new address is not logged. */
  function makeRoom(): boolean {
    if (failures.size < MAX_ADDRESSES) return true
    const [oldest] = failures
    if (!oldest || isRecent(oldest[1])) return false
    return failures.delete(oldest[0])
  }

  return (address: string): void => {
    const last = failures.get(address)
    if (last && isRecent(last)) {
      last.unlogged += 1
      return
    }
    failures.delete(address)
    if (!makeRoom()) return
    failures.set(address, { at: now(), unlogged: 0 })
    log.warn({ address, unlogged: last?.unlogged ?? 0 }, 'authentication failed')
  }
}

/** Records a failed authentication of a client address. */
export type RecordAuthFailure = ReturnType<typeof createAuthFailureLog>
