import { globSync, readFileSync } from 'node:fs'
import { join } from 'node:path'
import { type GraphQLEnumType, type GraphQLInterfaceType, isUnionType } from 'graphql'
import { describe, expect, test } from 'vitest'
import * as errors from '../../src/errors.ts'
import { errorTypeName } from '../../src/graphql/errors.ts'
import { statusOf } from '../../src/http/errors.ts'
import { schema } from '../../src/schema.ts'

const root = join(import.meta.dirname, '../..')
const stories = globSync('test/stories/**/*.test.ts', { cwd: root })
const told = stories.map((file) => readFileSync(join(root, file), 'utf8')).join('\n')

/** Promised to clients, and raised by what is yet to come. */
const waiting = ['MEDIA_TYPE_REJECTED']

/** Of one item of a batch, whose error is any UserError. */
const inBatches = ['NotEmptyError', 'BatchAbortedError']

/** What is answered beside `data`, as extensions.code. */
const topLevel = [
  'UNAUTHENTICATED',
  'RATE_LIMITED',
  'UNAVAILABLE',
  'QUERY_TOO_COMPLEX',
  'TIMEOUT',
  'INVALID_CURSOR',
  'BAD_PAGE_SIZE',
  'INTERNAL_SERVER_ERROR',
]

const userError = schema.getType('UserError') as GraphQLInterfaceType
const types = schema.getPossibleTypes(userError)
const promised = (schema.getType('ErrorCode') as GraphQLEnumType).getValues().map((v) => v.name)

/** Each class with its code; constructors want more than a guard knows, and statusOf looks at the code alone. */
const classes = Object.values(errors)
  .filter((value) => value.prototype instanceof errors.DomainError)
  .map((type) => ({ type, name: type.name, code: codeOf(type.name) }))
const typed = classes.filter(({ code }) => promised.includes(code))

function codeOf(name: string) {
  const source = readFileSync(join(root, 'src/errors.ts'), 'utf8')
  return (
    new RegExp(`class ${name} extends DomainError \\{[^}]*?code = '(\\w+)'`).exec(source)?.[1] ?? ''
  )
}

test('the guard sees errors, types and stories', () => {
  expect(classes.filter(({ code }) => code === '')).toEqual([])
  expect(typed.length).toBeGreaterThan(15)
  expect(stories.length).toBeGreaterThan(5)
})

describe.each(typed)('$code', ({ type, name, code }) => {
  const documented = types.find((known) => known.name === errorTypeName(name))?.description ?? ''

  test('its type names the status that the HTTP doors give it', () => {
    const error = Object.assign(Object.create(type.prototype), { code })
    const statuses = [...documented.matchAll(/\b[45]\d\d\b/g)].map(Number)
    expect(documented).toMatch(/HTTP \d{3}/)
    // What the disk says decides between the statuses of a storage error.
    if (code !== 'STORAGE_ERROR') expect(statuses).toEqual([statusOf(error)])
  })

  test('some mutation can answer it', () => {
    const unions = Object.values(schema.getTypeMap()).filter(isUnionType)
    const members = unions.flatMap((union) => union.getTypes().map((member) => member.name))
    expect([...members, ...inBatches]).toContain(errorTypeName(name))
  })
})

test('every promised code has its class, or waits for one', () => {
  const missing = promised.filter((code) => !classes.some((known) => known.code === code))
  expect(missing.filter((code) => !waiting.includes(code))).toEqual([])
})

test.each([...promised, ...topLevel].filter((code) => !waiting.includes(code)))(
  'a story is told %s',
  (code) => {
    const name = classes.find((known) => known.code === code)?.name
    const words = name ? [code, errorTypeName(name)] : [code]
    expect(words.some((word) => told.includes(`'${word}'`) || told.includes(`"${word}"`))).toBe(
      true,
    )
  },
)

test('what waits has not come yet', () => {
  expect(waiting.filter((code) => told.includes(`'${code}'`))).toEqual([])
})
