import { type ChildProcess, spawn } from 'node:child_process'
import { once } from 'node:events'
import { mkdtempSync, readFileSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { parse, validate } from 'graphql'
import { expect, onTestFinished, test, vi } from 'vitest'
import { settings } from '../../src/config.ts'
import { schema } from '../../src/schema.ts'

const root = join(import.meta.dirname, '../..')
const readme = readFileSync(join(root, 'README.md'), 'utf8')
const { scripts } = JSON.parse(readFileSync(join(root, 'package.json'), 'utf8')) as {
  scripts: Record<string, string>
}
const fences = (language: string) =>
  [...readme.matchAll(new RegExp(`^\`\`\`${language}\\n([\\s\\S]*?)^\`\`\``, 'gm'))].map(
    ([, text]) => text ?? '',
  )

const operations = fences('graphql')
/** What npm is told to do, wherever the README does so: `npm start`, `npm test -- -u`, `npm run demo`. */
const inline = [...readme.matchAll(/(?<!`)`(npm [^`\n]+)`/g)].map(([, text]) => text ?? '')
const commands = [...fences('sh'), ...inline]
  .flatMap((block) => block.split(/\n|&&|;/))
  .map((line) => line.trim())
  .filter((line) => /^(?:\w+=\S* )*npm\b/.test(line))

test('the README shows operations and commands', () => {
  expect(operations.length).toBeGreaterThan(1)
  expect(commands.some((command) => /\bnpm start\b/.test(command))).toBe(true)
  expect(commands.some((command) => /\bnpm test\b/.test(command))).toBe(true)
})

test.each(operations)('this operation is valid: %s', (text) => {
  expect(validate(schema, parse(text)).map(({ message }) => message)).toEqual([])
})

test.each(commands)('npm knows: %s', (command) => {
  const [, verb = '', name = ''] = /\bnpm (\w+)(?: ([\w:-]+))?/.exec(command) ?? []
  const script = verb === 'run' ? name : verb
  expect(verb === 'ci' || script in scripts).toBe(true)
})

test('the table of settings says what the code says', () => {
  const rows = readme.split('\n').filter((line) => /^\| *`[A-Z0-9_]+` *\|/.test(line))
  const told = rows.map((row) => row.split('|').map((cell) => cell.trim().replaceAll('`', '')))
  const known = Object.entries(settings).map(([name, { meaning, default: usual }]) => [
    '',
    name,
    meaning,
    usual,
    '',
  ])
  const plain = (table: string[][]) =>
    table.map((row) => row.join(' | ').replaceAll('`', '')).sort()
  expect(plain(told)).toEqual(plain(known))
})

test('npm start, and nothing else, opens a house', async () => {
  const holdall = start({ PORT: '0', LOG_LEVEL: 'error' })
  const greeting = await firstWords(holdall)
  const address = /http:\/\/localhost:\d+/.exec(greeting)?.[0]
  expect(greeting).toMatch(/Token +hld_/)
  expect((await fetch(`${address}/readyz`)).status).toBe(200)
  process.kill(-(holdall.pid ?? 0), 'SIGTERM')
  await once(holdall, 'exit')
  await vi.waitFor(() => expect(fetch(`${address}/livez`)).rejects.toThrow(), { timeout: 10_000 })
})

/** The process that the README's first command makes, over a folder of its own. */
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

async function firstWords({ stdout }: ChildProcess): Promise<string> {
  let text = ''
  for await (const chunk of stdout ?? []) {
    text += chunk
    if (/Authorization/.test(text)) break
  }
  return text
}
