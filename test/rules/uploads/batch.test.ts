import { setTimeout as sleep } from 'node:timers/promises'
import { expect, test } from 'vitest'
import { runIndependently } from '../../../src/domains/uploads/batch.ts'
import type { UploadRow } from '../../../src/domains/uploads/rules.ts'
import { NotFound } from '../../../src/errors/access.ts'

test('processes results in the order of the items, whichever is ready first, and continues after a failure', async () => {
  const order: string[] = []
  const begin = { slow: 30, failing: 0, quick: 0, last: 10 }
  const outcomes = await runIndependently(Object.entries(begin), async ([name, ms], turn) => {
    const work = async () => {
      await sleep(ms)
      if (name === 'failing') throw new NotFound(name)
      await turn.ready
      order.push(name)
      turn.done()
      return { id: name } as UploadRow
    }
    return { outcome: work() }
  })
  expect(order).toEqual(['slow', 'quick', 'last'])
  expect(outcomes.map(({ upload, error }) => upload?.id ?? error?.code)).toEqual([
    ...['slow', 'NOT_FOUND', 'quick', 'last'],
  ])
})
