import { describe, expect, test } from 'vitest'
import { operations } from '../support/faults/operations.ts'
import { walkAll } from '../support/faults/plan.ts'
import { told, type Walk } from '../support/faults/walk.ts'
import { freshPlace, s3IsGiven } from '../support/s3.ts'

/** Those that go to the bucket. */
const sending = operations.filter(({ name }) => /^(create|PATCH|confirm|purge|import)/.test(name))

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
})

async function walked(walks: Walk[]) {
  const env = () => ({ ...freshPlace(), DOWNLOADS: 'proxy' })
  const figures = await walkAll({ operations: sending, walks, env })
  console.log(told(figures).join('\n'))
  for (const kinds of figures.values()) expect(Math.max(...kinds.values())).toBeGreaterThan(0)
}
