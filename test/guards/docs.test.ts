import { existsSync, globSync, readFileSync } from 'node:fs'
import { dirname, join, relative } from 'node:path'
import type { GraphQLEnumType } from 'graphql'
import { describe, expect, test } from 'vitest'
import { schema } from '../../src/schema.ts'

const root = join(import.meta.dirname, '../..')
const pages = ['README.md', ...globSync('docs/*.md', { cwd: root }).sort()]
const read = (file: string) => readFileSync(join(root, file), 'utf8')

/** The text of a page without its code, in which brackets are no links. */
const proseOf = (file: string) =>
  read(file)
    .replace(/^```[\s\S]*?^```$/gm, '')
    .replace(/`[^`\n]*`/g, '')

/** The anchors that GitHub gives the headings of a page. */
const anchorsOf = (file: string) =>
  [...read(file).matchAll(/^#{1,6} (.+)$/gm)].map(([, heading = '']) =>
    heading
      .trim()
      .toLowerCase()
      .replace(/[^\p{L}\p{N} _-]/gu, '')
      .replaceAll(' ', '-'),
  )

type Link = { from: string; target: string }

const links = pages.flatMap((from) =>
  [...proseOf(from).matchAll(/\]\(([^)\s]+)\)/g)].map(
    ([, target = '']): Link => ({ from, target }),
  ),
)
const internalLinks = links.filter(({ target }) => !/^[a-z]+:/.test(target))

function isBroken({ from, target }: Link): boolean {
  const [path = '', anchor] = target.split('#')
  const file = path === '' ? from : relative(root, join(root, dirname(from), path))
  if (!existsSync(join(root, file))) return true
  return anchor !== undefined && !anchorsOf(file).includes(anchor)
}

test('every link between pages leads to a page and a heading', () => {
  expect(internalLinks.length).toBeGreaterThan(50)
  expect(internalLinks.filter(isBroken)).toEqual([])
})

test.each([
  ['a page', 'docs/no-such-page.md'],
  ['a heading', 'docs/api.md#no-such-heading'],
  ['a heading of the same page', '#no-such-heading'],
])('a link to %s that does not exist is found', (_, target) => {
  expect(isBroken({ from: 'README.md', target })).toBe(true)
})

test('the README links to every page', () => {
  const linked = internalLinks.filter(({ from }) => from === 'README.md').map((l) => l.target)
  expect(pages.filter((page) => page !== 'README.md' && !linked.includes(page))).toEqual([])
})

test('the README has at most 180 lines', () => {
  expect(read('README.md').split('\n').length - 1).toBeLessThanOrEqual(180)
})

describe('files that pages name', () => {
  const named = pages
    .filter((page) => !page.endsWith('CHANGELOG.md'))
    .flatMap((from) =>
      [...read(from).matchAll(/`((?:src|test|migrations)\/[\w./-]*)`/g)].map(
        ([, path = '']): Link => ({ from, target: path }),
      ),
    )

  test('exist', () => {
    expect(named.length).toBeGreaterThan(10)
    expect(named.filter(({ target }) => !existsSync(join(root, target)))).toEqual([])
  })
})

test('the API page lists the codes of all typed errors', () => {
  const codes = (schema.getType('ErrorCode') as GraphQLEnumType).getValues().map((v) => v.name)
  const listed = [...read('docs/api.md').matchAll(/^\| `([A-Z_]+)` \| (\w+Error) \|/gm)]
  expect(listed.map(([, code]) => code).sort()).toEqual([...codes].sort())
  expect(listed.filter(([, , type = '']) => !schema.getType(type))).toEqual([])
})

test('the architecture page lists the domains in the order of schema.ts', () => {
  const layout =
    /^ {2}domains\/ ([\s\S]*?)^ {2}http\//m.exec(read('docs/architecture.md'))?.[1] ?? ''
  const imported = [...read('src/schema.ts').matchAll(/domains\/([\w-]+)\/graphql/g)]
  expect(layout.split('→').map((name) => name.trim())).toEqual(imported.map(([, name]) => name))
})
