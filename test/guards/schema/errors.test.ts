import { globSync, readFileSync } from 'node:fs'
import { join } from 'node:path'
import { type GraphQLEnumType, type GraphQLInterfaceType, isUnionType } from 'graphql'
import { describe, expect, test } from 'vitest'
import * as errors from '../../../src/errors.ts'
import { errorTypeName } from '../../../src/graphql/errors.ts'
import { statusOf } from '../../../src/http/errors.ts'
import { schema } from '../../../src/schema.ts'
import { root } from '../../support/project-root.ts'

const testFiles = globSync('test/stories/**/*.test.ts', { cwd: root })
const source = testFiles.map((file) => readFileSync(join(root, file), 'utf8')).join('\n')

/** Documented codes of features that do not exist yet. */
const waiting = ['MEDIA_TYPE_REJECTED']

/** Codes of one item of a batch, whose error may be any UserError. */
const inBatches = ['NotEmptyError', 'BatchAbortedError']

/** Codes in `extensions.code` of top-level errors. */
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
const documentedCodes = (schema.getType('ErrorCode') as GraphQLEnumType)
  .getValues()
  .map((v) => v.name)

/** Each class with its code. The guard does not call the constructors: statusOf reads the code only. */
const classes = Object.values(errors)
  .filter((value) => value.prototype instanceof errors.DomainError)
  .map((type) => ({ type, name: type.name, code: codeOf(type.name) }))
const typed = classes.filter(({ code }) => documentedCodes.includes(code))

function codeOf(name: string) {
  const source = readFileSync(join(root, 'src/errors.ts'), 'utf8')
  return (
    new RegExp(`class ${name} extends DomainError \\{[^}]*?code = '(\\w+)'`).exec(source)?.[1] ?? ''
  )
}

test('the guard finds errors, types and tests', () => {
  expect(classes.filter(({ code }) => code === '')).toEqual([])
  expect(typed.length).toBeGreaterThan(15)
  expect(testFiles.length).toBeGreaterThan(5)
})

describe.each(typed)('$code', ({ type, name, code }) => {
  const documented = types.find((known) => known.name === errorTypeName(name))?.description ?? ''

  test('documents the HTTP status of its endpoints', () => {
    const error = Object.assign(Object.create(type.prototype), { code })
    const statuses = [...documented.matchAll(/\b[45]\d\d\b/g)].map(Number)
    expect(documented).toMatch(/HTTP \d{3}/)
    // The status of a storage error depends on the error of the disk.
    if (code !== 'STORAGE_ERROR') expect(statuses).toEqual([statusOf(error)])
  })

  test('is an error of some mutation', () => {
    const unions = Object.values(schema.getTypeMap()).filter(isUnionType)
    const members = unions.flatMap((union) => union.getTypes().map((member) => member.name))
    expect([...members, ...inBatches]).toContain(errorTypeName(name))
  })
})

test('every documented code has a class, or belongs to a missing feature', () => {
  const missing = documentedCodes.filter((code) => !classes.some((known) => known.code === code))
  expect(missing.filter((code) => !waiting.includes(code))).toEqual([])
})

test.each([...documentedCodes, ...topLevel].filter((code) => !waiting.includes(code)))(
  'a test expects %s',
  (code) => {
    const name = classes.find((known) => known.code === code)?.name
    const words = name ? [code, errorTypeName(name)] : [code]
    expect(words.some((word) => source.includes(`'${word}'`) || source.includes(`"${word}"`))).toBe(
      true,
    )
  },
)

test('the codes of missing features are not used yet', () => {
  expect(waiting.filter((code) => source.includes(`'${code}'`))).toEqual([])
})
