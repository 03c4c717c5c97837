import { describe, expect, test } from 'vitest'
import { database } from '../support/databases.ts'
import { operations as all } from '../support/faults/operations.ts'
import { walkAll } from '../support/faults/plan.ts'
import { told, type Walk } from '../support/faults/walk.ts'
import { freshPlace, s3IsGiven } from '../support/s3.ts'

/** Those that go to the bucket. */
const sending = all.filter(({ name }) => /^(create|PATCH|confirm|purge|import)/.test(name))

describe.skipIf(!s3IsGiven)('every request to the bucket', () => {
  test('F1, F2: killed after it, an operation happened fully or not at all, and is done when it is asked for again', async () => {
    await walked([{ fault: 'KILL_AFTER' }])
  }, 300_000)

  test('F6: refused, cut, not answered, or answered and not heard: tried again; for good: a code that says so, nothing half, and it goes on', async () => {
    await walked([
      { fault: 'SLOW_DOWN' },
      { fault: 'RESET' },
      { fault: 'LOST' },
      { fault: 'SLOW_DOWN', forGood: true },
    ])
  }, 300_000)

  // What the rows are kept in makes no difference here.
  test.runIf(database === 'SQLite')(
    'F6: broken, too late, another ETag, not there yet, cut while it is read, credentials spent: the client is told nothing',
    async () => {
      const faults = ['INTERNAL_ERROR', 'TIMEOUT', 'WRONG_ETAG', 'NOT_YET'] as const
      const more = ['CUT_READING', 'EXPIRED'] as const
      const walks = [...faults, ...more].map((fault) => ({ fault, heals: true }))
      // createUpload asks the bucket nothing.
      await walked(walks, sending.slice(1))
    },
    300_000,
  )
})

async function walked(walks: Walk[], operations = sending) {
  const env = () => ({ ...freshPlace(), DOWNLOADS: 'proxy' })
  const figures = await walkAll({ operations, walks, env })
  console.log(told(figures).join('\n'))
  for (const kinds of figures.values()) expect(Math.max(...kinds.values())).toBeGreaterThan(0)
}
