import { execFileSync } from 'node:child_process'
import { randomBytes } from 'node:crypto'
import { expect, test } from 'vitest'
import { npmStepsIn, startAsShown } from '../../support/docs/npm-commands.ts'
import { openShell, patternOf, withoutRandomParts } from '../../support/docs/walkthrough.ts'
import { root } from '../../support/project-root.ts'
import { launchReady } from '../../support/servers/launch.ts'
import { startPostgres } from '../../support/servers/postgres-server.ts'
import { emptyFolder } from '../../support/servers/process.ts'

test('the first start of README.md prints what it shows', { timeout: 60_000 }, async () => {
  const [step] = npmStepsIn('README.md')
  // A clean installation precedes every run of these tests.
  const commands = step?.commands.replace('npm ci\n', '') ?? ''
  const output = (await startAsShown(commands)).replace(/[\s\S]*(?=Holdall is ready)/, '')
  expect(withoutRandomParts(output)).toMatch(patternOf(step?.shown ?? ''))
})

test('the commands of docs/operations.md print what it shows', { timeout: 120_000 }, async () => {
  const DATA_DIR = await emptyFolder()
  await launchReady({ DATA_DIR, ADMIN_TOKEN: randomBytes(32).toString('hex') })
  const run = openShell(root, { DATA_DIR, npm_config_loglevel: 'error' })
  const elsewhere = await emptyFolder()
  const steps = npmStepsIn('docs/operations.md')
  expect(steps.length).toBeGreaterThan(2)
  for (const { commands, shown } of steps) {
    const { output, exitCode } = await run(commands.replaceAll('/srv/', `${elsewhere}/`))
    expect({
      commands,
      exitCode,
      output: withoutNpm(output.replaceAll(`${elsewhere}/`, '/srv/')),
    }).toEqual({
      commands,
      exitCode: 0,
      output: expect.stringMatching(shown === '' ? /^/ : patternOf(shown)),
    })
  }
})

/** Removes the two lines with which npm repeats each script that it runs. */
const withoutNpm = (output: string) => withoutRandomParts(output.replace(/^\n(> .*\n)+\n/gm, ''))

const hasPsql = (() => {
  try {
    return execFileSync('psql', ['--version']).length > 0
  } catch {
    return false
  }
})()

test.skipIf(!hasPsql)(
  'the commands of docs/postgresql.md start a server',
  { timeout: 90_000 },
  async () => {
    await using postgres = await startPostgres()
    const { host, hostname, port } = new URL(postgres.url)
    const superuser = { PGHOST: hostname, PGPORT: port, PGUSER: 'postgres' }
    for (const { commands } of npmStepsIn('docs/postgresql.md'))
      await startAsShown(commands.replaceAll('localhost:5432', host), superuser)
  },
)
