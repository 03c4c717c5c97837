import { randomInt } from 'node:crypto'
import { expect, test } from 'vitest'
import { runHistory } from '../../history/run.ts'
import { newDatabase } from '../../support/databases.ts'

const { HISTORY_SEED, HISTORY_SECONDS } = process.env
const seed = Number(HISTORY_SEED ?? randomInt(2 ** 31))
const seconds = Number(HISTORY_SECONDS ?? 25)

/**
 * HISTORY_SEED and HISTORY_SECONDS repeat the same draws, or run longer; the interleaving depends on
 * the machine.
 */
test('F1 F7 F8 F10 F20: under all faults of the servers, responses and final state agree', {
  timeout: 180_000 + seconds * 2_000,
}, async () => {
  await using database = await newDatabase()
  const databaseUrl = database.env.DATABASE_URL
  const { violations, figures } = await runHistory({ seed, ms: seconds * 1_000, databaseUrl })
  expect({ seed, violations }).toEqual({ seed, violations: [] })
  expect(figures.confirms).toBeGreaterThan(0)
  expect(figures['files read']).toBeGreaterThan(0)
})
