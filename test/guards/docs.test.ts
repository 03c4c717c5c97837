import { existsSync, globSync, readFileSync } from 'node:fs'
import { dirname, join, relative } from 'node:path'
import type { GraphQLEnumType } from 'graphql'
import { describe, expect, test } from 'vitest'
import { errorRegistry, typedErrors } from '../../src/errors/registry.ts'
import { schema } from '../../src/schema.ts'
import { root } from '../support/project-root.ts'

const pages = ['README.md', ...globSync('docs/*.md', { cwd: root }).sort()]
const read = (file: string) => readFileSync(join(root, file), 'utf8')

/** Returns the text of a page without code, in which brackets are not links. */
const proseOf = (file: string) =>
  read(file)
    .replace(/^```[\s\S]*?^```$/gm, '')
    .replace(/`[^`\n]*`/g, '')

/** Returns the anchors that GitHub generates for the headings of a page. */
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

describe('the tables of error codes', () => {
  const rows = read('docs/api.md')
    .split('\n')
    .filter((line) => /^\| `[A-Z_]+`/.test(line))
    .map((line) => line.slice(1, -1).trim())

  test.each(Object.entries(typedErrors))('have the row of the registry for %s', (code, known) => {
    const [, status] = / HTTP ([^.]+)\.$/.exec(schema.getType(known.type)?.description ?? '') ?? []
    const row = `\`${code}\` | ${known.type} | ${status} | ${known.description}`
    expect(rows.filter((line) => line.includes(` | ${known.type} | `))).toEqual([row])
  })

  test.each(Object.entries(errorRegistry).filter(([code]) => !(code in typedErrors)))(
    'describe %s as the registry does',
    (code, { status, description }) => {
      const starts = [`\`${code}\` | ${description}`, `\`${code}\` | ${status} | ${description}`]
      expect(rows.some((line) => starts.some((start) => line.startsWith(start)))).toBe(true)
    },
  )
})

test('the architecture page lists the domains in the order of schema.ts', () => {
  const layout =
    /^ {2}domains\/ ([\s\S]*?)^ {2}http\//m.exec(read('docs/architecture.md'))?.[1] ?? ''
  const imported = [...read('src/schema.ts').matchAll(/domains\/([\w-]+)\/graphql/g)]
  expect(layout.split('→').map((name) => name.trim())).toEqual(imported.map(([, name]) => name))
})

describe('the table of roles and scopes', () => {
  const rows = [
    ...read('docs/api.md').matchAll(/^\| `(\w+)` \| [^|]+ \| ((?:`[A-Z_]+`(?:, )?)+) \|$/gm),
  ]
  const mutations = Object.values(schema.getMutationType()?.getFields() ?? {})
  const scopes = (schema.getType('ApiScope') as GraphQLEnumType).getValues().map((v) => v.name)

  test('lists every mutation once', () => {
    expect(rows.map(([, name]) => name).sort()).toEqual(mutations.map(({ name }) => name).sort())
  })

  test.each(mutations)('names the scopes that the schema names for $name', (mutation) => {
    const documented = rows.find(([, name]) => name === mutation.name)?.[2] ?? ''
    const named = (text: string) =>
      scopes.filter((scope) => new RegExp(`\\b${scope}\\b`).test(text))
    expect(named(documented)).toEqual(named(mutation.description ?? ''))
  })
})
