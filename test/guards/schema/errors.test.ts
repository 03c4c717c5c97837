import { globSync, readFileSync } from 'node:fs'
import { join } from 'node:path'
import { type GraphQLEnumType, type GraphQLInterfaceType, isUnionType } from 'graphql'
import { describe, expect, test } from 'vitest'
import { errorRegistry, typedErrors } from '../../../src/errors/registry.ts'
import { schema } from '../../../src/schema.ts'
import { root } from '../../support/project-root.ts'

const textOf = (pattern: string) =>
  globSync(pattern, { cwd: root }).map((file) => readFileSync(join(root, file), 'utf8'))
const stories = textOf('test/stories/**/*.test.ts')
const storyText = stories.join('\n')

/** Registered codes of features that do not exist yet. */
const waiting = ['MEDIA_TYPE_REJECTED']

/** Types of errors of one item of a batch, whose error may be any UserError. */
const inBatches = ['NotEmptyError', 'BatchAbortedError']

const codes = Object.keys(errorRegistry)

/** The classes of src/errors and their codes. */
const classes = textOf('src/errors/*.ts').flatMap((text) =>
  [...text.matchAll(/class (\w+) extends DomainError \{[^}]*?readonly code = '(\w+)'/g)].map(
    ([, name = '', code = '']) => ({ name, code }),
  ),
)

test('the guard finds classes, types and tests', () => {
  expect(classes.length).toBeGreaterThan(25)
  expect(Object.keys(typedErrors).length).toBeGreaterThan(15)
  expect(stories.length).toBeGreaterThan(5)
})

test('every registered code has one class', () => {
  expect(classes.map(({ code }) => code).sort()).toEqual(codes.sort())
})

test('only src/errors declares domain errors', () => {
  const declared = textOf('src/**/*.ts').flatMap((text) =>
    [...text.matchAll(/class (\w+) extends DomainError\b/g)].map(([, name]) => name),
  )
  expect(declared.sort()).toEqual(classes.map(({ name }) => name).sort())
})

test('the enum ErrorCode has the registered codes that have a type', () => {
  const values = (schema.getType('ErrorCode') as GraphQLEnumType).getValues()
  expect(values.map(({ name }) => name).sort()).toEqual(Object.keys(typedErrors).sort())
})

test('every type of UserError is registered', () => {
  const types = schema.getPossibleTypes(schema.getType('UserError') as GraphQLInterfaceType)
  const registered = Object.values(typedErrors).map(({ type }) => type)
  expect(types.map(({ name }) => name).sort()).toEqual(registered.sort())
})

describe.each(Object.entries(typedErrors))('%s', (code, { type, status }) => {
  test('has a type that is named after its class', () => {
    const name = classes.find((known) => known.code === code)?.name ?? ''
    expect(type).toBe(name.endsWith('Error') ? name : `${name}Error`)
  })

  test('documents the HTTP status of its endpoints', () => {
    expect(schema.getType(type)?.description).toMatch(new RegExp(`HTTP [^.]*\\b${status}\\.$`))
  })

  test('is an error of some mutation', () => {
    const unions = Object.values(schema.getTypeMap()).filter(isUnionType)
    const members = unions.flatMap((union) => union.getTypes().map((member) => member.name))
    expect([...members, ...inBatches]).toContain(type)
  })
})

test.each([...codes, 'INTERNAL_SERVER_ERROR'].filter((code) => !waiting.includes(code)))(
  'a test expects %s',
  (code) => {
    const words = [code, typeOf(code) ?? code]
    expect(words.some((word) => new RegExp(`['"]${word}['"]`).test(storyText))).toBe(true)
  },
)

test('the codes of missing features are not used yet', () => {
  expect(waiting.filter((code) => storyText.includes(`'${code}'`))).toEqual([])
})

function typeOf(code: string): string | undefined {
  return Object.entries(typedErrors).find(([known]) => known === code)?.[1].type
}
