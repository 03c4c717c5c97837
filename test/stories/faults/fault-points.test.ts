import { describe, expect, test } from 'vitest'
import { database } from '../../support/databases.ts'
import { operations } from '../../support/faults/operations.ts'
import { injectFaults } from '../../support/faults/plan.ts'
import { injectIntoStart, olderFolder } from '../../support/faults/starts.ts'
import { type FaultCase, type FaultCounts, formatCounts } from '../../support/faults/walk.ts'

/*
 * Strikes every step of an operation that goes to the disk or the database, one per run: the process is
 * killed there, or the step fails, or succeeds and reports an error. test/soak/fault-points.ts also
 * strikes reads.
 */

/** A run that struck nothing has tested nothing. */
function printCounts(counts: FaultCounts) {
  console.log(formatCounts(counts).join('\n'))
  for (const [operation, kinds] of counts)
    expect(Math.max(...kinds.values()), operation).toBeGreaterThan(0)
}

/**
 * Before a lasting step the state equals that after the previous one; a commit is struck on both sides.
 */
const kills: FaultCase[] = [{ fault: 'KILL_AFTER' }, { fault: 'KILL_BEFORE_COMMIT' }]

describe.runIf(database === 'SQLite')('every step on SQLite and disk', () => {
  test('F1, F2: after a kill an operation has happened fully or not at all, and can be repeated', async () => {
    printCounts(await injectFaults({ operations, cases: kills }))
  }, 180_000)

  test('F4, F5, F7: full, broken, read-only, busy or unresponsive: an error code, no partial result, and no restart needed', async () => {
    const cases: FaultCase[] = [
      { fault: 'ENOSPC', isPermanent: true },
      { fault: 'EIO' },
      { fault: 'EMFILE' },
      { fault: 'EROFS' },
      { fault: 'BUSY' },
      { fault: 'LOST' },
    ]
    printCounts(await injectFaults({ operations, cases }))
  }, 180_000)

  test('F2: killed during a migration, it starts the next time', async () => {
    const counts: FaultCounts = new Map()
    await using older = await olderFolder('0005')
    await injectIntoStart('KILL_AFTER_ROWS', counts, { from: older.dir })
    printCounts(counts)
  }, 180_000)
})

describe.runIf(database === 'PostgreSQL')('every statement on PostgreSQL', () => {
  test('F1, F2: after a kill an operation has happened fully or not at all, and can be repeated', async () => {
    const cases: FaultCase[] = [{ fault: 'KILL_AFTER_ROWS' }, { fault: 'KILL_BEFORE_COMMIT' }]
    printCounts(await injectFaults({ operations, cases }))
  }, 180_000)

  test('F4, F7: the connection breaks, or the disk of the server is full: an error code, and no partial result', async () => {
    const cases: FaultCase[] = [
      { fault: 'RESET' },
      { fault: 'LOST' },
      { fault: 'ENOSPC', isPermanent: true },
    ]
    printCounts(await injectFaults({ operations, cases }))
  }, 180_000)

  test('F2: killed during its first start, it starts the next time', async () => {
    const counts: FaultCounts = new Map()
    await injectIntoStart('KILL_AFTER_ROWS', counts)
    printCounts(counts)
  }, 180_000)
})
