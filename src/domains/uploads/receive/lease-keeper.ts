import { sql } from 'kysely'
import { databaseNowPlus } from '../../../database/clock.ts'
import type { Db } from '../../../database/database.ts'
import { subscribe } from '../../../database/notify.ts'

const RENEW_INTERVAL_MS = 400
/** A writer stops writing this long before its lease expires, so that pending writes can finish. */
const SAFETY_MARGIN_MS = 400

type Lease = { id: string; writer: string; turn: number; stop: AbortController; validUntil: number }
export type KeptLease = Disposable & { isMine: () => boolean }

/** The leases of one process. */
export type LeaseKeeper = {
  /**
   * Renews a lease requested at `since` (by performance.now) until the result is disposed. Aborts `stop` when
   * the lease is lost.
   */
  keep: (lease: Omit<Lease, 'validUntil'> & { since: number }) => KeptLease
}

/**
 * Creates a keeper that renews all leases of this process with one statement per interval, and immediately
 * after a notification for one of them. A lease counts as held only for a limited time after its last
 * successful renewal, because this process may have lost its connection to the database while other processes
 * have not.
 */
export function leaseKeeper(db: Db, leaseMs: number): LeaseKeeper {
  const leases = new Map<string, Lease>()
  const validMs = leaseMs - SAFETY_MARGIN_MS
  let timer: NodeJS.Timeout | undefined
  let [renewing, isRenewRequested] = [false, false]

  async function renewAll() {
    const [mine, since] = [[...leases.values()], performance.now()]
    const renewed = await renew(db, mine, leaseMs)
    for (const lease of mine) {
      if (renewed.has(lease.writer)) lease.validUntil = since + validMs
      else lease.stop.abort('newer')
    }
  }

  async function renewNow() {
    isRenewRequested = renewing
    if (renewing) return
    renewing = true
    // A failed renewal is retried at the next interval, until the lease expires.
    await renewAll().catch(() => {})
    renewing = false
    if (isRenewRequested && leases.size > 0) void renewNow()
  }

  function tick() {
    for (const { stop, validUntil } of leases.values())
      if (performance.now() >= validUntil) stop.abort('lost')
    void renewNow()
  }

  return {
    keep({ since, ...lease }) {
      const active = { ...lease, validUntil: since + validMs }
      leases.set(lease.writer, active)
      timer ??= setInterval(tick, RENEW_INTERVAL_MS).unref()
      const subscription = subscribe(lease.id, () => void renewNow())
      return {
        isMine: () => performance.now() < active.validUntil,
        [Symbol.dispose]() {
          subscription[Symbol.dispose]()
          active.validUntil = 0
          leases.delete(lease.writer)
          if (leases.size > 0) return
          clearInterval(timer)
          timer = undefined
        },
      }
    },
  }
}

/**
 * Renews the leases that no other request has requested since they began. Returns the writers of the renewed
 * leases.
 */
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
