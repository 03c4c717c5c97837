import { describe, expect, test } from 'vitest'
import { database } from '../../support/databases.ts'
import { operations as all } from '../../support/faults/operations.ts'
import { injectFaults } from '../../support/faults/plan.ts'
import { type FaultCase, formatCounts } from '../../support/faults/walk.ts'
import { newS3Prefix, s3IsGiven } from '../../support/s3.ts'

/** Operations that use the bucket. */
const sending = all.filter(({ name }) => /^(create|PATCH|confirm|purge|import)/.test(name))

describe.skipIf(!s3IsGiven)('every request to the bucket', () => {
  test('F1, F2: after a kill an operation has happened fully or not at all, and can be repeated', async () => {
    await injectAll([{ fault: 'KILL_AFTER' }])
  }, 300_000)

  test('F6: refused, cut, or without an answer: retried; permanently: an error code, no partial result, and the server continues', async () => {
    await injectAll([
      { fault: 'SLOW_DOWN' },
      { fault: 'RESET' },
      { fault: 'LOST' },
      { fault: 'SLOW_DOWN', isPermanent: true },
    ])
  }, 300_000)

  // The kind of database makes no difference here.
  test.runIf(database === 'SQLite')(
    'F6: errors, timeouts, wrong ETags, delayed visibility, cut reads, expired credentials: the client sees none of them',
    async () => {
      const faults = ['INTERNAL_ERROR', 'TIMEOUT', 'WRONG_ETAG', 'NOT_YET'] as const
      const more = ['CUT_READING', 'EXPIRED'] as const
      const cases = [...faults, ...more].map((fault) => ({ fault, recovers: true }))
      // createUpload makes no request to the bucket.
      await injectAll(cases, sending.slice(1))
    },
    300_000,
  )
})

async function injectAll(cases: FaultCase[], operations = sending) {
  const env = () => ({ ...newS3Prefix(), DOWNLOADS: 'proxy' })
  const counts = await injectFaults({ operations, cases, env })
  console.log(formatCounts(counts).join('\n'))
  for (const kinds of counts.values()) expect(Math.max(...kinds.values())).toBeGreaterThan(0)
}
