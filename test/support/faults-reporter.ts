import type { Reporter, TestModule } from 'vitest/node'
import { rows, testsByRow } from '../guards/faults.ts'

/**
 * Prints each attack and each fault with its number of tests, after `npm test -- faults`. Prints nothing if
 * other tests ran, too.
 */
export class FaultsReporter implements Reporter {
  onTestRunEnd(modules: readonly TestModule[]) {
    const guarded = modules.some(({ moduleId }) => moduleId.endsWith('guards/faults.test.ts'))
    if (!guarded || modules.some(({ moduleId }) => !moduleId.includes('faults'))) return
    const tests = testsByRow()
    const lines = rows.map(({ id, title, waitsFor }) => {
      const count = tests.get(id) ?? 0
      const tried = waitsFor
        ? `waits for: ${waitsFor}`
        : `${count} ${count === 1 ? 'test' : 'tests'}`
      return `${id.padEnd(4)} ${title.padEnd(54)} ${tried}`
    })
    const waiting = rows.filter(({ waitsFor }) => waitsFor).length
    const tried = rows.filter(({ id }) => tests.has(id)).length
    const sum = `${tried} of ${rows.length} rows are tried, ${waiting} wait for a feature`
    process.stdout.write(`\n${lines.join('\n')}\n${sum}\n`)
  }
}
