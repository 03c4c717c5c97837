import { describe, expect, test } from 'vitest'
import { database } from '../../support/databases.ts'
import { inParts } from '../../support/faults/kinds/parted.ts'
import { injectFaults } from '../../support/faults/plan.ts'
import { type FaultCase, formatCounts } from '../../support/faults/walk.ts'
import { newS3Prefix, s3IsGiven } from '../../support/s3.ts'

/** Once each; the client sees none of them. */
const healing: FaultCase[] = [
  { fault: 'SLOW_DOWN' },
  { fault: 'RESET' },
  { fault: 'CUT_SENDING', of: /PATCH/ },
  { fault: 'UNHEARD' },
  { fault: 'ERROR_IN_200', of: /confirm/ },
  { fault: 'WRONG_ETAG', of: /PATCH|confirm/ },
  { fault: 'NOT_YET', of: /PATCH|confirm|download/ },
  { fault: 'CUT_READING', of: /PATCH|put|download/ },
  { fault: 'EXPIRED' },
]

/** The kind of database makes no difference here. */
const given = s3IsGiven && database === 'SQLite'

describe.runIf(given)('every request for a file that a bucket takes in three parts', () => {
  test('F1, F2, F6: after a kill the operation can be repeated, with every byte', async () => {
    await injectAll([{ fault: 'KILL_AFTER_BUCKET', of: /PATCH|confirm|cancel/ }])
  }, 300_000)

  test('F6: overload, cuts, lost answers, an error in a 200, wrong ETags, delayed visibility, expired credentials: the client sees none of them', async () => {
    await injectAll(healing.map((each) => ({ ...each, recovers: true })))
  }, 300_000)

  test('F6: a permanently wrong clock, or lost credentials or connection: an error code, and the server continues', async () => {
    await injectAll([
      { fault: 'SKEWED', of: /PATCH|put/ },
      { fault: 'EXPIRED', isPermanent: true, of: /PATCH|confirm|cancel/ },
      { fault: 'RESET', isPermanent: true, of: /PATCH|put|cancel/ },
    ])
  }, 300_000)
})

async function injectAll(cases: FaultCase[]) {
  const env = () => ({ ...newS3Prefix(), DOWNLOADS: 'proxy' })
  const counts = await injectFaults({ operations: inParts, cases, env })
  console.log(formatCounts(counts).join('\n'))
  for (const kinds of counts.values()) {
    for (const number of kinds.values()) expect(number).toBeGreaterThan(0)
  }
}
