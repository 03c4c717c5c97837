import { setTimeout as sleep } from 'node:timers/promises'
import { Client, type ClientBase } from 'pg'

/**
 * After this time without an answer, a separate connection asks the server whether it still runs the
 * statement.
 */
const SILENT_MS = 3_000
const CHECK_INTERVAL_MS = 1_000
const PROBE_TIMEOUT_MS = 2_000
/** Maximum time that an answer may be in transit. */
const TRANSIT_MS = 500
/** If the server is unreachable, a connection is closed after this time. */
const UNREACHABLE_MS = 10_000

type Waiting = { client: ClientBase; since: number }
export type Watch = ReturnType<typeof watchForAnswers>

/**
 * Finds connections on which no answer will arrive, because the network silently drops packets, and closes
 * them: the pending statements fail as on any broken connection. A statement that the server still runs is
 * left alone.
 */
export function watchForAnswers(url: string) {
  const waiting = new Set<Waiting>()
  const openedAt = new WeakMap<ClientBase, number>()
  let timer: NodeJS.Timeout | undefined
  let lossAt = Number.NEGATIVE_INFINITY
  let isProbing = false

  async function check() {
    const now = performance.now()
    const silent = [...waiting].filter(({ since }) => now - since > SILENT_MS)
    if (silent.length === 0 || isProbing) return
    isProbing = true
    try {
      const lost = await findLost(url, silent)
      if (lost.length > 0) await sleep(TRANSIT_MS, undefined, { ref: false })
      for (const entry of lost) if (waiting.has(entry)) end(entry, now)
    } finally {
      isProbing = false
    }
  }

  function end({ client }: Waiting, noticedAt: number) {
    lossAt = noticedAt
    // During a statement, end() breaks the connection.
    void (client as Client).end().catch(() => {})
  }

  return {
    opened(client: ClientBase) {
      openedAt.set(client, performance.now())
    },
    /** Whether the connection was opened before another one was found lost: it may be lost, too. */
    isSuspect: (client: ClientBase) => (openedAt.get(client) ?? 0) < lossAt,
    /** Runs one statement of `client` under the watch. */
    async run<T>(client: ClientBase, query: () => Promise<T>): Promise<T> {
      const entry = { client, since: performance.now() }
      waiting.add(entry)
      timer ??= setInterval(() => void check(), CHECK_INTERVAL_MS).unref()
      try {
        return await query()
      } finally {
        waiting.delete(entry)
      }
    },
    stop: () => clearInterval(timer),
  }
}

/**
 * Returns the connections of `silent` that are lost: those whose statement the server no longer runs, or, if
 * the server is unreachable, those without an answer for UNREACHABLE_MS. Returns none if that is unknown, as
 * behind a pooler.
 */
async function findLost(url: string, silent: Waiting[]): Promise<Waiting[]> {
  const busy = await findBusy(
    url,
    silent.map(({ client }) => pidOf(client)),
  ).catch(() => null)
  if (busy === 'unknown') return []
  const now = performance.now()
  return silent.filter(({ client, since }) =>
    busy === null ? now - since > UNREACHABLE_MS : !busy.has(pidOf(client)),
  )
}

/**
 * Returns the pids of the sessions that run a statement, or 'unknown' behind a pooler, where connections and
 * sessions differ. Throws if the server does not answer.
 */
async function findBusy(url: string, pids: number[]): Promise<Set<number> | 'unknown'> {
  const probe = new Client({
    connectionString: url,
    application_name: 'holdall, checking',
    connectionTimeoutMillis: PROBE_TIMEOUT_MS,
    query_timeout: PROBE_TIMEOUT_MS,
  })
  probe.on('error', () => {})
  try {
    await probe.connect()
    const { rows } = await probe.query<{ pid: number; own: boolean }>(
      `select pid, pid = pg_backend_pid() as own from pg_stat_activity
       where pid = pg_backend_pid() or (pid = any($1) and coalesce(state, '') not like 'idle%')`,
      [pids],
    )
    const own = rows.find((row) => row.own)
    return own?.pid === pidOf(probe) ? new Set(rows.map(({ pid }) => pid)) : 'unknown'
  } catch (error) {
    // An SQLSTATE means that the server answered.
    if (/^[0-9A-Z]{5}$/.test(String((error as { code?: unknown }).code))) return 'unknown'
    throw error
  } finally {
    probe.end().catch(() => {})
  }
}

/** Returns the backend pid of the session, which is missing in the types of `pg`. */
const pidOf = (client: ClientBase) => (client as ClientBase & { processID: number }).processID
