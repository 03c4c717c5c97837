import fc from 'fast-check'
import {
  type GraphQLArgument,
  type GraphQLObjectType,
  getNamedType,
  isInterfaceType,
  isObjectType,
} from 'graphql'
import { beforeAll, describe, expect, test } from 'vitest'
import { schema } from '../../../src/schema.ts'
import { openStream } from '../../support/network/events.ts'
import { postForm } from '../../support/network/forms.ts'
import { metadata, tusOf } from '../../support/network/tus.ts'
import { startTestServer, type TestServer } from '../../support/servers/test-server.ts'
import { fills, idSlots, withValueIn } from '../authorisation/id-slots.ts'
import { mutations, nodes } from '../authorisation/mutation-cases.ts'
import { createTenant, type Place } from '../authorisation/tenant-fixture.ts'

/** Ids that clients send for an object that they do not have. */
const blank = ['', ' ', '\t\r\n', '\u00a0', '\u3000\u2003']

/** Texts that look like ids, here or elsewhere, and refer to nothing. */
const foreign = [
  ...['0', '-1', 'null', 'undefined', '[object Object]', 'true', 'rosemary', '%', '../..', '*'],
  ...['ws_', 'file_0', `ws_${'0'.repeat(32)}`, `file_${'F'.repeat(32)}`, `tbl_${'0'.repeat(32)}.x`],
  ...['6ba7b810-9dad-11d1-80b4-00c04fd430c8', 'gid://app/File/1', 'RmlsZTox', "' OR 1=1 --"],
  ...['a\u0000b', '\ud800', '__proto__', 'constructor', '\u200b', '\u202ews_0', 'é'.repeat(31)],
  ...fc
    .sample(fc.string({ minLength: 2, maxLength: 40, unit: 'binary' }), { seed: 6, numRuns: 20 })
    .filter((text) => text.trim() !== ''),
]
const refusals = ['NOT_FOUND', 'INVALID_INPUT']

let holdall: TestServer
let place: Place
beforeAll(async () => {
  holdall = await startTestServer()
  place = await createTenant(holdall, 'rosemary')
  return () => holdall[Symbol.asyncDispose]()
})

const slotsOf = (args: readonly GraphQLArgument[]) =>
  args.flatMap(({ name, type }) => idSlots(type, name))

const writers = Object.values(schema.getMutationType()?.getFields() ?? {}).flatMap(
  ({ name, args }) =>
    slotsOf(args)
      .map((slot) => ({ name, slot: slot.replace(/^input\./, '') }))
      .filter(({ slot }) => slot !== mutations[name]?.rejected),
)

/** Returns the code and the path of the error of a mutation, or of its first item. */
async function attempt(name: string, input: unknown) {
  const type = `${name[0]?.toUpperCase()}${name.slice(1)}`
  const payload = schema.getType(`${type}Payload`) as GraphQLObjectType
  const items = payload.getFields().results ? 'results { error { code } }' : ''
  const query = `mutation ($input: ${type}Input!) { answer: ${name}(input: $input) {
    __typename ... on UserError { code path } ... on ${type}Payload { __typename ${items} }
  } }`
  const { data, errors } = await holdall.graphql(query, { input })
  const { code, path, results } = data?.answer ?? {}
  const failed = results?.find(({ error }: { error: unknown }) => error)
  return {
    code: errors?.[0]?.extensions?.code ?? code ?? failed?.error.code ?? 'OK',
    path: path?.join('.'),
  }
}

describe('mutations', () => {
  test.each(writers)('$name rejects empty, blank and foreign ids in $slot', async (writer) => {
    const { name, slot } = writer
    const input = mutations[name]?.inputs(place).find((one) => fills(one, slot)) ?? {}
    const path = slot.replaceAll('[]', '.0')
    for (const id of blank)
      expect({ id, ...(await attempt(name, withValueIn(input, id, slot))) }).toEqual({
        ...{ id, code: 'INVALID_INPUT', path },
      })
    // Also an id of another type, and the right id with a space: 'evt_…' and 'file_… '.
    for (const id of [...foreign, place.eventId, ` ${place.fileId}`, `${place.workspaceId}\n`]) {
      const { code } = await attempt(name, withValueIn(input, id, slot))
      expect({ id, code }).toEqual({ id, code: expect.toBeOneOf(refusals) })
    }
  })
})

const readers = Object.values(schema.getTypeMap())
  .filter((type) => isObjectType(type) || isInterfaceType(type))
  .filter(({ name }) => name !== 'Mutation' && !name.startsWith('__'))
  .flatMap((type) => Object.values(type.getFields()).map((field) => ({ type: type.name, field })))
  .flatMap(({ type, field }) =>
    field.args.flatMap((arg) =>
      idSlots(arg.type, arg.name).map((slot) => ({
        ...{ name: `${type}.${field.name}`, type, field, arg, slot },
      })),
    ),
  )

/** Asks with `id` in one slot of an argument. Returns the result of the query or the first event. */
function ask({ type, field, arg, slot }: (typeof readers)[number], id: string) {
  const needed = field.args.some(({ name }) => name === 'query') ? 'query: "rosemary", ' : ''
  const selection = /Connection$/.test(getNamedType(field.type).name) ? 'totalCount' : '__typename'
  const found = `found: ${field.name}(${needed}${arg.name}: $value) { ${selection} }`
  const variables = withValueIn({}, id, slot.replace(arg.name, 'value'))
  if (type === 'Query')
    return holdall.graphql(`query ($value: ${arg.type}) { ${found} }`, variables)
  if (type === 'Subscription')
    return firstEvent(`subscription ($value: ${arg.type}) { ${found} }`, variables)
  const of = type === 'Folder' ? place.rootId : nodes[type]?.(place)
  const query = `query ($of: ID!, $value: ${arg.type}) { node(id: $of) { ... on ${type} { ${found} } } }`
  return holdall.graphql(query, { ...variables, of })
}

async function firstEvent(query: string, variables: Record<string, unknown>) {
  using stream = await openStream(holdall, query, variables)
  return (await stream.next())?.data
}

describe('queries and subscriptions', () => {
  test('have arguments that take ids', () => {
    expect(readers.length).toBeGreaterThan(14)
  })

  test.each(readers)('$name rejects empty and blank ids in $slot', async (reader) => {
    for (const id of blank) {
      const { errors } = await ask(reader, id)
      expect({ id, code: errors?.[0]?.extensions?.code }).toEqual({ id, code: 'INVALID_INPUT' })
    }
  })

  test.each(readers)('$name finds nothing by foreign ids in $slot', async (reader) => {
    const nothing = /null|"totalCount":0|NotFoundError/
    for (const id of foreign) {
      const { data, errors } = await ask(reader, id)
      const found = errors ? (errors[0].extensions?.code ?? '') : JSON.stringify(data)
      expect({ id, found }).toEqual({
        id,
        found: errors ? expect.toBeOneOf(refusals) : expect.stringMatching(nothing),
      })
    }
  })
})

test.each(['workspaceId', 'folderId'])('forms and tus reject a blank %s', async (field) => {
  const fields = { workspaceId: place.workspaceId, [field]: ' ' }
  const form = await postForm(holdall, { ...fields, file: { name: 'a.txt', bytes: 'x' } })
  expect([form.status, form.body]).toMatchObject([400, { code: 'INVALID_INPUT', path: [field] }])
  const headers = { 'Upload-Length': '1', 'Upload-Metadata': metadata({ ...fields, name: 'a' }) }
  const tus = await tusOf(holdall).post(headers)
  expect([tus.status, await tus.json()]).toMatchObject([400, { code: 'INVALID_INPUT' }])
})
