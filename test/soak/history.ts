import { runHistory } from '../history/run.ts'
import { databaseUrl, onServer } from '../support/databases-setup.ts'
import { startPostgres } from '../support/servers/postgres-server.ts'

const ROUND_MS = 60_000
/**
 * The maximum time without a successful write in a workspace, with several processes and one fault at a time.
 */
const MAX_GAP_MS = 5_000

/**
 * Runs clients, faults and the history checker, alternately on three processes with PostgreSQL and one with
 * SQLite.
 */
export async function history({ seed, until }: { seed: number; until: number }) {
  await using postgres = await startPostgres()
  const sum: Record<string, number> = { rounds: 0 }
  for (let round = 0; Date.now() < until; round += 1) {
    const name = `history_${round}`
    const isCluster = round % 2 === 0
    if (isCluster) await onServer(postgres.url, `create database ${name}`)
    const bounds = { seed: seed + round, ms: Math.min(ROUND_MS, until - Date.now()) }
    const url = isCluster ? databaseUrl(postgres.url, name) : undefined
    const { violations, figures, longestGapMs } = await runHistory({ ...bounds, databaseUrl: url })
    if (isCluster && longestGapMs > MAX_GAP_MS)
      violations.push(`${longestGapMs} ms without a successful write in a workspace`)
    if (violations.length > 0)
      throw new Error(`seed ${seed}, round ${round}: ${violations.join('\n')}`)
    for (const [what, figure] of Object.entries({ rounds: 1, ...figures }))
      sum[what] = (sum[what] ?? 0) + figure
    if (isCluster)
      sum['longest time without a write, ms'] = Math.max(
        sum['longest time without a write, ms'] ?? 0,
        longestGapMs,
      )
  }
  return sum
}
