import fc from 'fast-check'
import {
  GraphQLNonNull,
  GraphQLObjectType,
  type GraphQLScalarType,
  GraphQLSchema,
  GraphQLString,
  graphql,
  isScalarType,
} from 'graphql'
import { expect, test } from 'vitest'
import { schema as serverSchema } from '../../../src/schema.ts'

const scalars = ['DateTime', 'URL', 'ByteCount', 'SyncCursor', 'JSONObject'] as const
const schema = echoSchema()

/** A field per scalar that echoes its argument, and one that shows the internal value. */
function echoSchema(): GraphQLSchema {
  const fields = scalars.flatMap((name) => {
    const type = serverSchema.getType(name) as GraphQLScalarType
    const args = { value: { type: new GraphQLNonNull(type) } }
    const inside = (_: unknown, { value }: { value: unknown }) => JSON.stringify(value)
    return [
      [name, { type, args, resolve: (_: unknown, { value }: { value: unknown }) => value }],
      [`inside${name}`, { type: GraphQLString, args, resolve: inside }],
    ] as const
  })
  return new GraphQLSchema({
    query: new GraphQLObjectType({ name: 'Query', fields: Object.fromEntries(fields) }),
  })
}

type Scalar = (typeof scalars)[number]

async function execute(field: string, type: Scalar, value: unknown) {
  const source = `query ($value: ${type}!) { answer: ${field}(value: $value) }`
  const contextValue = { limits: { maxQueryCost: 1000 } }
  const { data, errors } = await graphql({
    schema,
    source,
    variableValues: { value },
    contextValue,
  })
  return errors ? { refused: errors[0]?.message } : { answer: data?.answer }
}

const echoed = (type: Scalar, value: unknown) => execute(type, type, value)
const inside = (type: Scalar, value: unknown) => execute(`inside${type}`, type, value)
const literal = async (type: Scalar, text: string) => {
  const contextValue = { limits: { maxQueryCost: 1000 } }
  const { data, errors } = await graphql({
    schema,
    source: `{ answer: ${type}(value: ${text}) }`,
    contextValue,
  })
  return errors ? { refused: errors[0]?.message } : { answer: data?.answer }
}

test('accepts a DateTime with any offset and returns it in UTC with milliseconds', async () => {
  const cases = {
    '2025-01-31T09:30:00Z': '2025-01-31T09:30:00.000Z',
    '2025-01-31T09:30:00.5+02:00': '2025-01-31T07:30:00.500Z',
    '2025-01-31t23:59:59.999999-09:30': '2025-02-01T09:29:59.999Z',
    '2024-02-29T00:00:00-00:00': '2024-02-29T00:00:00.000Z',
    '0000-01-01T00:00:00z': '0000-01-01T00:00:00.000Z',
    '9999-12-31T23:59:59.999Z': '9999-12-31T23:59:59.999Z',
  }
  for (const [given, answer] of Object.entries(cases)) {
    expect(await echoed('DateTime', given)).toEqual({ answer })
    expect(await inside('DateTime', given)).toEqual({ answer: String(Date.parse(answer)) })
  }
})

test('returns any DateTime of a four-digit year unchanged', async () => {
  const moments = fc.date({
    min: new Date('0000-01-01T00:00:00Z'),
    max: new Date('9999-12-31T23:59:59.999Z'),
    noInvalidDate: true,
  })
  await fc.assert(
    fc.asyncProperty(moments, async (moment) => {
      expect(await echoed('DateTime', moment.toISOString())).toEqual({
        answer: moment.toISOString(),
      })
    }),
  )
})

test.each([
  '2023-02-29T00:00:00Z',
  '2023-04-31T00:00:00Z',
  '2023-13-01T00:00:00Z',
  '2023-00-10T00:00:00Z',
  '2023-01-01T24:00:00Z',
  '2023-01-01T12:60:00Z',
  '2016-12-31T23:59:60Z',
  '2023-01-01T12:00:00+24:00',
  '2023-01-01T12:00:00+02:60',
  '9999-12-31T23:59:59-00:01',
  '0000-01-01T00:00:00+00:01',
  '2023-01-01',
  '2023-01-01T12:00:00',
  '2023-01-01 12:00:00Z',
  '2023-01-01T12:00Z',
  '2023-01-01T12:00:00.Z',
  '+002023-01-01T12:00:00Z',
  ' 2023-01-01T12:00:00Z',
  'yesterday',
  '',
  1_700_000_000_000,
  true,
  { year: 2023 },
])('%j is no DateTime', async (value) => {
  const { refused } = await echoed('DateTime', value)
  expect(refused).toContain('an existing date and time with Z or an offset')
})

test('accepts a byte count up to the largest exact integer of JSON', async () => {
  for (const bytes of [0, 1, 2 ** 31, 5 * 2 ** 40, Number.MAX_SAFE_INTEGER]) {
    expect(await echoed('ByteCount', bytes)).toEqual({ answer: bytes })
    expect(await literal('ByteCount', String(bytes))).toEqual({ answer: bytes })
  }
  for (const value of [-1, 0.5, 2 ** 53, '7', '', [], true]) {
    expect((await echoed('ByteCount', value)).refused).toContain('whole number from 0')
  }
  expect((await literal('ByteCount', '9007199254740993')).refused).toContain('whole number from 0')
  expect((await literal('ByteCount', '"7"')).refused).toContain('whole number from 0')
})

test('requires an absolute URL and a string as a sync cursor', async () => {
  expect(await echoed('URL', 'https://example.org/ä?b#c')).toEqual({
    answer: 'https://example.org/ä?b#c',
  })
  for (const value of ['/files/1', 'example.org', '', 7]) {
    expect((await echoed('URL', value)).refused).toContain('a URL is absolute')
  }
  expect(await echoed('SyncCursor', 'c42')).toEqual({ answer: 'c42' })
  for (const value of ['', 7, 'x'.repeat(257)]) {
    expect((await echoed('SyncCursor', value)).refused).toContain('that this server returned')
  }
})

test('returns a JSON object unchanged, from a variable or a literal', async () => {
  await fc.assert(
    fc.asyncProperty(fc.dictionary(fc.string(), fc.jsonValue({ maxDepth: 4 })), async (object) => {
      fc.pre(!/"(__proto__|constructor|prototype)":/.test(JSON.stringify(object)))
      const sent = JSON.parse(JSON.stringify(object))
      expect(await echoed('JSONObject', sent)).toEqual({ answer: sent })
    }),
  )
  const { answer } = await literal(
    'JSONObject',
    '{ plate: 7, wells: ["A1", null, 1.5, true], by: { name: "Ada" } }',
  )
  expect(JSON.parse(JSON.stringify(answer))).toEqual({
    plate: 7,
    wells: ['A1', null, 1.5, true],
    by: { name: 'Ada' },
  })
})

const nested = (depth: number) => JSON.parse(`${'{"a":'.repeat(depth)}1${'}'.repeat(depth)}`)
const nestedLists = (depth: number) =>
  JSON.parse(`{"a":${'['.repeat(depth - 1)}${']'.repeat(depth - 1)}}`)

test.each([
  ['a list', [1]],
  ['a text', '{"a":1}'],
  ['a number', 7],
])('%s is no JSON object', async (_, value) => {
  expect((await echoed('JSONObject', value)).refused).toContain('a JSONObject is an object')
})

test.each(['__proto__', 'constructor', 'prototype'])(
  'S36: the key %s is refused at any depth',
  async (key) => {
    for (const text of [`{"${key}":{"polluted":1}}`, `{"a":[{"b":{"${key}":1}}]}`]) {
      expect((await echoed('JSONObject', JSON.parse(text))).refused).toContain(
        `must not have the key ${key}`,
      )
    }
    expect((await literal('JSONObject', `{ a: { ${key}: 1 } }`)).refused).toContain(
      `must not have the key ${key}`,
    )
    expect(({} as Record<string, unknown>).polluted).toBeUndefined()
  },
)

test('S36: limits a JSON object to 32 levels, 64 KiB and finite numbers', async () => {
  expect(await echoed('JSONObject', nested(32))).toEqual({ answer: nested(32) })
  for (const deep of [nested(33), nestedLists(33), nested(100_000)]) {
    expect((await inside('JSONObject', deep)).refused).toContain('at most 32 levels deep')
  }
  const fits = { a: 'ä'.repeat((65_536 - 8) / 2) }
  expect(await echoed('JSONObject', fits)).toEqual({ answer: fits })
  expect((await echoed('JSONObject', { a: `${fits.a}b` })).refused).toContain('at most 65536 bytes')
  expect((await echoed('JSONObject', JSON.parse('{"a":1e999}'))).refused).toContain(
    'JSON values only',
  )
})

test('publishes the specification URL of each scalar', () => {
  const specifiedBy = (name: Scalar) => {
    const type = schema.getType(name)
    return isScalarType(type) ? type.specifiedByURL : undefined
  }
  expect(specifiedBy('DateTime')).toBe('https://www.rfc-editor.org/rfc/rfc3339')
  expect(specifiedBy('URL')).toBe('https://url.spec.whatwg.org/')
})
