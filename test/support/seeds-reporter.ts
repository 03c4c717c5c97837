import type { Reporter, TestCase, TestModule } from 'vitest/node'

/**
 * Prints each row of the seeds and whether its tests pass, after `npm test -- seeds`. Prints nothing if other
 * tests ran, too.
 */
export class SeedsReporter implements Reporter {
  onTestRunEnd(modules: readonly TestModule[]) {
    const tests = modules.flatMap((module) => [...module.children.allTests()])
    const seeds = tests.filter(({ name }) => name.startsWith('seed '))
    if (seeds.length === 0 || modules.some(({ moduleId }) => !moduleId.includes('seeds'))) return
    const states = seeds
      .flatMap(stateOf)
      .sort(([a], [b]) => a.localeCompare(b, 'en', { numeric: true }))
    const lines = states.map(([row, state, says]) => `${row.padEnd(4)} ${state}  ${says}`)
    const holding = states.filter(([, state]) => state === '✓').length
    process.stdout.write(`\n${lines.join('\n')}\n${holding} of ${states.length} rows hold\n`)
  }
}

function stateOf(test: TestCase): [row: string, state: string, says: string][] {
  const [, ids = '', says = ''] = /^seed ([^:]+): (.*)$/.exec(test.name) ?? []
  const state = test.result().state === 'passed' ? '✓' : '✗'
  return ids.split(' ').map((id) => [id, state, says])
}
