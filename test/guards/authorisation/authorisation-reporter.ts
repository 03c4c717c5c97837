import type { Reporter, TestModule } from 'vitest/node'

/** The result that the guard attaches to each of its tests. */
type Row = { columns: { name: string; says: string }[]; cells: string[] }

/**
 * Prints the result of every operation for every actor, after `npm test -- authorisation`. Prints nothing if
 * other tests ran, too.
 */
export class AuthorisationReporter implements Reporter {
  onTestRunEnd(modules: readonly TestModule[]) {
    if (modules.some(({ moduleId }) => !moduleId.includes('authorisation'))) return
    const tables = new Set<string>()
    for (const module of modules) {
      const rows = [...module.children.allTests()].flatMap((test) => {
        const { name, parent } = test
        const { authorisation } = test.meta() as { authorisation?: Row }
        const title = `${'name' in parent ? parent.name.replace(/^.*: /, '') : ''} ${name}`
        return authorisation ? [{ title: title.replace('. ', '.'), ...authorisation }] : []
      })
      if (rows.length > 0) tables.add(tableOf(rows))
    }
    // Both databases give equal tables, unless there is a bug.
    process.stdout.write([...tables].join(''))
  }
}

function tableOf(rows: (Row & { title: string })[]): string {
  const columns = rows[0]?.columns ?? []
  const width = Math.max(...rows.map(({ title }) => title.length))
  const line = (title: string, cells: string[]) =>
    `${title.padEnd(width)} ${cells.map((cell) => cell.padStart(4)).join(' ')}`
  const head = line(
    '',
    columns.map(({ name }) => name),
  )
  const body = rows.map(({ title, cells }) => line(title, cells))
  const legend = columns.map(({ name, says }) => `${name.padEnd(5)}${says}`)
  return `\n${[head, ...body, '', ...legend].join('\n')}\n`
}
