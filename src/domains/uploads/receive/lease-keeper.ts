import { sql } from 'kysely'
import { databaseNowPlus } from '../../../database/clock.ts'
import type { Db } from '../../../database/database.ts'
import { subscribe } from '../../../database/notify.ts'

const BEAT_MS = 400
/** So much before its lease ends a writer gives no more to the disk: what it gave before has time to get there. */
const MARGIN_MS = 400

type Lease = { id: string; writer: string; turn: number; stop: AbortController; until: number }
export type KeptLease = Disposable & { isMine: () => boolean }

/** The leases of one process. */
export type LeaseKeeper = {
  /** Keeps a lease that was asked for at `since` (performance.now) until it is disposed; `stop` is aborted when it is lost. */
  keep: (lease: Omit<Lease, 'until'> & { since: number }) => KeptLease
}

/**
 * Renews all of them by one statement, as often as it takes; at once when something is said about one. A lease is believed in only
 * so long as the database has lately been heard to say so, for it may be out of reach while others are not.
 */
export function leaseKeeper(db: Db, leaseMs: number): LeaseKeeper {
  const leases = new Map<string, Lease>()
  const trustMs = leaseMs - MARGIN_MS
  let timer: NodeJS.Timeout | undefined
  let [renewing, again] = [false, false]

  async function renewAll() {
    const [mine, since] = [[...leases.values()], performance.now()]
    const renewed = await renew(db, mine, leaseMs)
    for (const lease of mine) {
      if (renewed.has(lease.writer)) lease.until = since + trustMs
      else lease.stop.abort('newer')
    }
  }

  async function beat() {
    again = renewing
    if (renewing) return
    renewing = true
    // What cannot be renewed now may be at the next beat; if not, it is lost by its time.
    await renewAll().catch(() => {})
    renewing = false
    if (again && leases.size > 0) void beat()
  }

  function tick() {
    for (const { stop, until } of leases.values())
      if (performance.now() >= until) stop.abort('lost')
    void beat()
  }

  return {
    keep({ since, ...lease }) {
      const kept = { ...lease, until: since + trustMs }
      leases.set(lease.writer, kept)
      timer ??= setInterval(tick, BEAT_MS).unref()
      const ear = subscribe(lease.id, () => void beat())
      return {
        isMine: () => performance.now() < kept.until,
        [Symbol.dispose]() {
          ear[Symbol.dispose]()
          kept.until = 0
          leases.delete(lease.writer)
          if (leases.size > 0) return
          clearInterval(timer)
          timer = undefined
        },
      }
    },
  }
}

/** Those that nobody has asked for since they began; the names of their writers. */
async function renew(db: Db, leases: Lease[], leaseMs: number): Promise<Set<string>> {
  const [ids, writers, turns] = [
    leases.map(({ id }) => id),
    leases.map(({ writer }) => writer),
    leases.map(({ turn }) => turn),
  ]
  const { rows } = await sql<{ writer: string }>`
    UPDATE "uploads" SET "writerUntil" = ${databaseNowPlus(leaseMs)}
    FROM unnest(${ids}::text[], ${writers}::text[], ${turns}::bigint[]) AS mine (id, writer, turn)
    WHERE "uploads"."id" = mine.id AND "uploads"."writer" = mine.writer AND "uploads"."turn" = mine.turn
    RETURNING mine.writer`.execute(db)
  return new Set(rows.map(({ writer }) => writer))
}
