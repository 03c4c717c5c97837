import type { Figures } from '../model/performing.ts'
import { runRandomWalk } from '../model/walk.ts'
import { databaseUrl, onServer } from '../support/databases-setup.ts'
import { startPostgres } from '../support/servers/postgres-server.ts'

/** Each walk starts with an empty server. */
const OPERATIONS = 5_000

/**
 * Runs model walks until `until`, alternately on SQLite and PostgreSQL; returns the counters of all
 * operations.
 */
export async function model({ seed, until }: { seed: number; until: number }) {
  await using postgres = await startPostgres()
  const sum: Record<string, number> = { walks: 0 }
  for (let round = 0; Date.now() < until; round++) {
    const length = { seed: seed + round, operations: OPERATIONS, until }
    const often = { killEvery: 250, compareEvery: 250 }
    const env = round % 2 === 0 ? {} : { DATABASE_URL: await emptyDatabase(postgres.url, round) }
    add(sum, await runRandomWalk({ ...length, ...often }, env))
  }
  return sum
}

async function emptyDatabase(url: string, round: number): Promise<string> {
  const name = `model_${round}`
  await onServer(url, `create database ${name}`)
  return databaseUrl(url, name)
}

function add(sum: Record<string, number>, figures: Figures) {
  for (const [name, figure] of Object.entries({ walks: 1, ...figures }))
    sum[name] = (sum[name] ?? 0) + figure
}
