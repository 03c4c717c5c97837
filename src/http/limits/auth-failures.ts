import type { Log } from '../../log.ts'

const PERIOD_MS = 1000
/** Addresses that are remembered at once. */
const MAX_ADDRESSES = 10_000

type Noted = { at: number; unlogged: number }

/** Logs failed authentications: at most one line a second for each address, which says how many were not logged since the last. */
export function openAuthFailureLog({ log, now }: { log: Log; now: () => number }) {
  /** By address, the least recently logged first. */
  const noted = new Map<string, Noted>()
  const isRecent = ({ at }: Noted) => Math.abs(now() - at) < PERIOD_MS

  /** Whether there is room for one more. Where all are recent there is none: memory is bounded, and so is the log. */
  function makeRoom(): boolean {
    if (noted.size < MAX_ADDRESSES) return true
    const [oldest] = noted
    if (!oldest || isRecent(oldest[1])) return false
    return noted.delete(oldest[0])
  }

  return (address: string): void => {
    const last = noted.get(address)
    if (last && isRecent(last)) {
      last.unlogged += 1
      return
    }
    noted.delete(address)
    if (!makeRoom()) return
    noted.set(address, { at: now(), unlogged: 0 })
    log.warn({ address, unlogged: last?.unlogged ?? 0 }, 'authentication failed')
  }
}
export type NoteAuthFailure = ReturnType<typeof openAuthFailureLog>
