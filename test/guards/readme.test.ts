import { type ChildProcess, spawn } from 'node:child_process'
import { once } from 'node:events'
import { globSync, mkdtempSync, readFileSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { parse, validate } from 'graphql'
import { expect, onTestFinished, test, vi } from 'vitest'
import { settings } from '../../src/config/settings.ts'
import { schema } from '../../src/schema.ts'
import { withoutRandomParts } from '../support/docs/walkthrough.ts'
import { root } from '../support/project-root.ts'

const read = (file: string) => readFileSync(join(root, file), 'utf8')
const pages = ['README.md', ...globSync('docs/*.md', { cwd: root }).sort()]
const text = pages.map(read).join('\n')
const { scripts } = JSON.parse(read('package.json')) as {
  scripts: Record<string, string>
}
const fences = (language: string) =>
  [...text.matchAll(new RegExp(`^\`\`\`${language}\\n([\\s\\S]*?)^\`\`\``, 'gm'))].map(
    ([, block]) => block ?? '',
  )

const operations = fences('graphql')
/** Commands of npm within sentences: `npm start`, `npm test -- -u`, `npm run demo`. */
const inline = [...text.matchAll(/(?<!`)`(npm [^`\n]+)`/g)].map(([, command]) => command ?? '')
const commands = [...fences('sh'), ...inline]
  .flatMap((block) => block.split(/\n|&&|;/))
  .map((line) => line.trim())
  .filter((line) => /^(?:\w+=\S* )*npm\b/.test(line))

test('the pages show operations and commands', () => {
  expect(operations.length).toBeGreaterThan(1)
  expect(commands.some((command) => /\bnpm start\b/.test(command))).toBe(true)
  expect(commands.some((command) => /\bnpm test\b/.test(command))).toBe(true)
})

test.each(operations)('this operation is valid: %s', (operation) => {
  expect(validate(schema, parse(operation)).map(({ message }) => message)).toEqual([])
})

test.each(commands)('npm knows: %s', (command) => {
  const [, verb = '', name = ''] = /\bnpm (\w+)(?: ([\w:-]+))?/.exec(command) ?? []
  const script = verb === 'run' ? name : verb
  expect(verb === 'ci' || script in scripts).toBe(true)
})

test('the table of settings is generated: `npm test -- guards/readme -u` writes it', async () => {
  const file = join(root, 'docs/configuration.md')
  const rows = Object.entries(settings).map(
    ([name, setting]) => `| \`${name}\` | ${setting.description} | ${setting.default} |\n`,
  )
  const table = /(?<=^\| --- \| --- \| --- \|\n)(\|.*\n)+/m
  expect(read('docs/configuration.md')).toMatch(table)
  const page = read('docs/configuration.md').replace(table, () => rows.join(''))
  await expect(page).toMatchFileSnapshot(file)
})

test('no other page repeats a row of that table', () => {
  const others = pages.filter((page) => page !== 'docs/configuration.md')
  const rows = Object.keys(settings).map((name) => `| \`${name}\` |`)
  expect(others.filter((page) => rows.some((row) => read(page).includes(row)))).toEqual([])
})

test('npm start, and nothing else, starts a server and greets as the pages show', async () => {
  const holdall = start({ PORT: '0', LOG_LEVEL: 'error' })
  const greeting = await readGreeting(holdall)
  const address = /http:\/\/localhost:\d+/.exec(greeting)?.[0]
  expect(greeting).toMatch(/Token +hld_/)
  for (const page of ['README.md', 'docs/quickstart.md']) {
    const shown = /^```text\n(Holdall is ready[\s\S]*?)^```/m.exec(read(page))?.[1] ?? ''
    expect(withoutRandomParts(greeting)).toBe(withoutRandomParts(shown))
  }
  expect((await fetch(`${address}/readyz`)).status).toBe(200)
  process.kill(-(holdall.pid ?? 0), 'SIGTERM')
  await once(holdall, 'exit')
  await vi.waitFor(() => expect(fetch(`${address}/livez`)).rejects.toThrow(), { timeout: 10_000 })
})

/** Runs `npm start`, as in the README, with a new folder. */
function start(env: Record<string, string>) {
  const dir = mkdtempSync(join(tmpdir(), 'start-'))
  const stdio = ['ignore', 'pipe', 'inherit'] as const
  const options = {
    cwd: root,
    env: { ...process.env, DATA_DIR: dir, ...env },
    stdio: [...stdio],
    detached: true,
  }
  const holdall = spawn('npm', ['start'], options)
  onTestFinished(() => {
    if (holdall.exitCode === null && holdall.pid) process.kill(-holdall.pid, 'SIGKILL')
    rmSync(dir, { recursive: true, force: true })
  })
  return holdall
}

async function readGreeting({ stdout }: ChildProcess): Promise<string> {
  let greeting = ''
  for await (const chunk of stdout ?? []) {
    greeting += chunk
    if (/<token>"\.\n/.test(greeting)) break
  }
  return greeting
}
