import { Writable } from 'node:stream'
import { pino } from 'pino'
import { expect, test } from 'vitest'
import { createAuthFailureLog } from '../../../src/http/limits/auth-failures.ts'
import { emptyFolder, startProcess } from '../../support/servers/process.ts'
import { serverAt } from '../../support/servers/server-at.ts'

test('an invalid token is logged at warn, with the address and without the token', async () => {
  const env = {
    DATA_DIR: await emptyFolder(),
    LOG_LEVEL: 'warn',
    TRUST_PROXY: 'true',
    ADMIN_TOKEN: 'chosen-by-the-operator-2025',
  }
  const process = await startProcess(env)
  const guess = 'hld_guessed-by-an-attacker'
  const ask = (address: string, token: string | null = guess) =>
    serverAt(process.url, env.ADMIN_TOKEN).http('/graphql', {
      method: 'POST',
      headers: { 'content-type': 'application/json', 'x-forwarded-for': address },
      body: JSON.stringify({ query: '{ viewer { user { id } } }' }),
      token,
    })
  const statuses = [
    ...(await Promise.all(Array.from({ length: 40 }, () => ask('203.0.113.7')))),
    await ask('203.0.113.8'),
    await ask('203.0.113.9', env.ADMIN_TOKEN),
    await ask('203.0.113.9', null),
  ].map(({ status }) => status)
  expect(new Set(statuses.slice(0, 41))).toEqual(new Set([401]))
  expect(statuses.slice(41)).toEqual([200, 200])
  const { err } = await process.stop()
  const failed = err
    .split('\n')
    .filter((line) => line.includes('authentication failed'))
    .map((line) => JSON.parse(line))
  const of = (address: string) => failed.filter((line) => line.address === address)
  expect(of('203.0.113.7')[0]).toMatchObject({ level: 40, unlogged: 0 })
  // Forty failures are not delayed by forty seconds.
  expect(of('203.0.113.7').length).toBeLessThan(10)
  expect(of('203.0.113.8')).toHaveLength(1)
  expect(of('203.0.113.9')).toEqual([])
  expect(err).not.toContain(guess)
})

/** The failure log with a fake clock, and the lines that it has written. */
function openLog() {
  const lines: { address: string; unlogged: number }[] = []
  const stream = new Writable({
    write(chunk, _, done) {
      lines.push(JSON.parse(String(chunk)))
      done()
    },
  })
  const clock = { now: 1_000_000 }
  const note = createAuthFailureLog({ log: pino(stream), now: () => clock.now })
  return { lines, clock, note }
}

test('an address gets one line a second, with a count of the failures left out', () => {
  const { lines, clock, note } = openLog()
  for (let i = 0; i < 100; i++) {
    note('203.0.113.7')
    clock.now += 100
  }
  expect(lines.map(({ unlogged }) => unlogged)).toEqual([0, ...Array(9).fill(9)])
})

test('a hundred thousand addresses take no more lines and memory than ten thousand', () => {
  const { lines, clock, note } = openLog()
  for (let i = 0; i < 100_000; i++) note(`10.${i >> 16}.${(i >> 8) & 255}.${i & 255}`)
  expect(lines).toHaveLength(10_000)
  note('10.0.0.0')
  expect(lines).toHaveLength(10_000)
  clock.now += 1000
  note('203.0.113.7')
  expect(lines.at(-1)?.address).toBe('203.0.113.7')
})
