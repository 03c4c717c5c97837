import { describe, expect, test } from 'vitest'
import { database } from '../support/databases.ts'
import { inParts } from '../support/faults/parted.ts'
import { walkAll } from '../support/faults/plan.ts'
import { told, type Walk } from '../support/faults/walk.ts'
import { freshPlace, s3IsGiven } from '../support/s3.ts'

/** Once each; the client is told nothing of them. */
const healing: Walk[] = [
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

/** What the rows are kept in makes no difference here. */
const given = s3IsGiven && database === 'SQLite'

describe.runIf(given)('every request of a file that a bucket takes in three parts', () => {
  test('F1, F2, F6: killed after it, it is done when it is asked for again, every byte of it', async () => {
    await walked([{ fault: 'KILL_AFTER_BUCKET', of: /PATCH|confirm|cancel/ }])
  }, 300_000)

  test('F6: too busy, cut, not heard, an error in a 200, another ETag, not there yet, credentials spent: the client is told nothing', async () => {
    await walked(healing.map((each) => ({ ...each, heals: true })))
  }, 300_000)

  test('F6: the clock is wrong, or the credentials or the way gone for good: a code that says so, and it goes on', async () => {
    await walked([
      { fault: 'SKEWED', of: /PATCH|put/ },
      { fault: 'EXPIRED', forGood: true, of: /PATCH|confirm|cancel/ },
      { fault: 'RESET', forGood: true, of: /PATCH|put|cancel/ },
    ])
  }, 300_000)
})

async function walked(walks: Walk[]) {
  const env = () => ({ ...freshPlace(), DOWNLOADS: 'proxy' })
  const figures = await walkAll({ operations: inParts, walks, env })
  console.log(told(figures).join('\n'))
  for (const kinds of figures.values()) {
    for (const number of kinds.values()) expect(number).toBeGreaterThan(0)
  }
}
