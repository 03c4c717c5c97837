import { describe, expect, test } from 'vitest'
import { database } from '../support/databases.ts'
import { operations } from '../support/faults/operations.ts'
import { walkAll } from '../support/faults/plan.ts'
import { olderFolder, walkStart } from '../support/faults/starts.ts'
import { type Figures, told, type Walk } from '../support/faults/walk.ts'

/*
 * Every step of an operation that goes to the disk or the database is struck, one after the other: the process is killed there, or
 * the step fails, or succeeds and says that it failed. test/soak/fault-points.ts does the same with steps that only read.
 */

/** A walk that struck nothing has shown nothing. */
function say(figures: Figures) {
  console.log(told(figures).join('\n'))
  for (const [operation, kinds] of figures)
    expect(Math.max(...kinds.values()), operation).toBeGreaterThan(0)
}

/** What is there before a step that lasts is what was there after the one before it; a commit is tried from both sides. */
const kills: Walk[] = [{ fault: 'KILL_AFTER' }, { fault: 'KILL_BEFORE_COMMIT' }]

describe.runIf(database === 'SQLite')('every step on SQLite and disk', () => {
  test('F1, F2: killed there, an operation happened fully or not at all, and is done when it is asked for again', async () => {
    say(await walkAll({ operations, walks: kills }))
  }, 180_000)

  test('F4, F5, F7: full, broken, read-only, busy or without an answer: a code that says so, nothing half, and it goes on without a restart', async () => {
    const walks: Walk[] = [
      { fault: 'ENOSPC', forGood: true },
      { fault: 'EIO' },
      { fault: 'EMFILE' },
      { fault: 'EROFS' },
      { fault: 'BUSY' },
      { fault: 'LOST' },
    ]
    say(await walkAll({ operations, walks }))
  }, 180_000)

  test('F2: killed while it brings an older database up to date, it starts the next time', async () => {
    const figures: Figures = new Map()
    await using older = await olderFolder('0005')
    await walkStart('KILL_AFTER_ROWS', figures, { from: older.dir })
    say(figures)
  }, 180_000)
})

describe.runIf(database === 'PostgreSQL')('every statement on PostgreSQL', () => {
  test('F1, F2: killed there, an operation happened fully or not at all, and is done when it is asked for again', async () => {
    const walks: Walk[] = [{ fault: 'KILL_AFTER_ROWS' }, { fault: 'KILL_BEFORE_COMMIT' }]
    say(await walkAll({ operations, walks }))
  }, 180_000)

  test('F4, F7: the connection breaks before or after it, or the disk of the server is full: as above', async () => {
    const walks: Walk[] = [
      { fault: 'RESET' },
      { fault: 'LOST' },
      { fault: 'ENOSPC', forGood: true },
    ]
    say(await walkAll({ operations, walks }))
  }, 180_000)

  test('F2: killed in its first start, it starts the next time', async () => {
    const figures: Figures = new Map()
    await walkStart('KILL_AFTER_ROWS', figures)
    say(figures)
  }, 180_000)
})
