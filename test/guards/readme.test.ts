import { readFileSync } from 'node:fs'
import { join } from 'node:path'
import { parse, validate } from 'graphql'
import { expect, test } from 'vitest'
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
const commands = fences('sh')
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
