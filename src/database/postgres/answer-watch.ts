import { setTimeout as sleep } from 'node:timers/promises'
import { Client, type ClientBase } from 'pg'

/** After so long without an answer the server is asked, over a connection of its own, whether it still works on the statement. */
const SILENT_MS = 3_000
const EVERY_MS = 1_000
const PROBE_TIMEOUT_MS = 2_000
/** So long an answer that the server has given may be on its way. */
const ON_THE_WAY_MS = 500
/** Where the server cannot be asked either, a connection is given up after so long. */
const UNREACHABLE_MS = 10_000

type Waiting = { client: ClientBase; since: number }
export type Watch = ReturnType<typeof watchForAnswers>

/**
 * Finds connections over which no answer will come, because a network drops what is sent without telling anybody, and ends them:
 * what waits for them fails as over any connection that breaks. A statement that the server works on may take its time.
 */
export function watchForAnswers(url: string) {
  const waiting = new Set<Waiting>()
  const openedAt = new WeakMap<ClientBase, number>()
  let timer: NodeJS.Timeout | undefined
  let lossAt = Number.NEGATIVE_INFINITY
  let isProbing = false

  async function look() {
    const now = performance.now()
    const silent = [...waiting].filter(({ since }) => now - since > SILENT_MS)
    if (silent.length === 0 || isProbing) return
    isProbing = true
    try {
      const lost = await lostOf(url, silent)
      if (lost.length > 0) await sleep(ON_THE_WAY_MS, undefined, { ref: false })
      for (const entry of lost) if (waiting.has(entry)) end(entry, now)
    } finally {
      isProbing = false
    }
  }

  function end({ client }: Waiting, noticedAt: number) {
    lossAt = noticedAt
    // With a statement under way it breaks the connection.
    void (client as Client).end().catch(() => {})
  }

  return {
    opened(client: ClientBase) {
      openedAt.set(client, performance.now())
    },
    /** Whether it was opened before another was found lost: then it may have gone the same way, and waiting would tell. */
    isSuspect: (client: ClientBase) => (openedAt.get(client) ?? 0) < lossAt,
    /** Runs one statement over `client`. */
    async during<T>(client: ClientBase, query: () => Promise<T>): Promise<T> {
      const entry = { client, since: performance.now() }
      waiting.add(entry)
      timer ??= setInterval(() => void look(), EVERY_MS).unref()
      try {
        return await query()
      } finally {
        waiting.delete(entry)
      }
    },
    stop: () => clearInterval(timer),
  }
}

/** Those of `silent` whose statement the server has finished, or knows nothing of; none where that cannot be known. */
async function lostOf(url: string, silent: Waiting[]): Promise<Waiting[]> {
  const busy = await busyAmong(
    url,
    silent.map(({ client }) => pidOf(client)),
  ).catch(() => null)
  if (busy === 'unknown') return []
  const now = performance.now()
  return silent.filter(({ client, since }) =>
    busy === null ? now - since > UNREACHABLE_MS : !busy.has(pidOf(client)),
  )
}

/** The sessions that work on something; unknown behind a pooler, where a connection is no session. Throws where there is no answer. */
async function busyAmong(url: string, pids: number[]): Promise<Set<number> | 'unknown'> {
  const probe = new Client({
    connectionString: url,
    application_name: 'holdall, looking',
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
    // A server that refuses is one that answers.
    if (/^[0-9A-Z]{5}$/.test(String((error as { code?: unknown }).code))) return 'unknown'
    throw error
  } finally {
    probe.end().catch(() => {})
  }
}

/** As the server has named the session at its beginning; the types of `pg` do not know it. */
const pidOf = (client: ClientBase) => (client as ClientBase & { processID: number }).processID
