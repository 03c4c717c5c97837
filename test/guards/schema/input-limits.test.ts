import {
  type GraphQLArgument,
  type GraphQLField,
  type GraphQLInputField,
  type GraphQLInputType,
  type GraphQLObjectType,
  isEnumType,
  isInputObjectType,
  isListType,
  isNonNullType,
  isObjectType,
  isRequiredInputField,
} from 'graphql'
import { beforeAll, describe, expect, test } from 'vitest'
import { missingLimits } from '../../../src/graphql/limits/input-limits-plugin.ts'
import { schema } from '../../../src/schema.ts'
import { startTestServer, type TestServer } from '../../support/servers/test-server.ts'

/**
 * A text beyond the largest limit, in the most expensive characters: marks that normalisation reorders.
 */
const expensive = `a${'\u0301\u0323'.repeat(30_000)}`
const refusals = ['INVALID_INPUT', 'NOT_FOUND', 'INVALID_CURSOR', 'BAD_USER_INPUT', 'BAD_REQUEST']

test('every text and every list of the API has a declared limit', () => {
  expect(missingLimits(schema)).toEqual([])
})

type Slot = { name: string; value: unknown }

const bare = (type: GraphQLInputType): GraphQLInputType =>
  isNonNullType(type) ? bare(type.ofType) : type

/**
 * Returns inputs of a type that have the expensive text in one field each, and otherwise only required
 * fields.
 */
function slotsOf(type: GraphQLInputType, name: string): Slot[] {
  const inner = bare(type)
  if (isListType(inner))
    return slotsOf(inner.ofType, `${name}[]`).map((slot) => ({ ...slot, value: [slot.value] }))
  if (isInputObjectType(inner)) {
    const fields = Object.values(inner.getFields())
    return fields.flatMap((field) =>
      slotsOf(field.type, `${name}.${field.name}`).map((slot) => ({
        name: slot.name,
        value: { ...(inner.isOneOf ? {} : needed(fields)), [field.name]: slot.value },
      })),
    )
  }
  return ['String', 'ID'].includes(String(inner)) ? [{ name, value: expensive }] : []
}

const needed = (fields: readonly GraphQLInputField[]): object =>
  Object.fromEntries(
    fields.filter(isRequiredInputField).map((field) => [field.name, plain(field.type)]),
  )

function plain(type: GraphQLInputType): unknown {
  const inner = bare(type)
  if (isListType(inner)) return [plain(inner.ofType)]
  if (isEnumType(inner)) return inner.getValues()[0]?.name
  if (!isInputObjectType(inner)) return { Int: 1, Boolean: true }[String(inner)] ?? 'x'
  const [first] = Object.values(inner.getFields())
  if (inner.isOneOf && first) return { [first.name]: plain(first.type) }
  return needed(Object.values(inner.getFields()))
}

/** Hints: text that is unusable is ignored, however long it is. */
const ignored = ['createUpload.mediaType', 'createUploads.uploads[].mediaType']

const mutations = Object.values(schema.getMutationType()?.getFields() ?? {})
const slots = mutations
  .flatMap(({ name, args: [input] }) =>
    input
      ? slotsOf(input.type, name).map((slot) => ({
          ...slot,
          field: name,
          type: String(input.type),
        }))
      : [],
  )
  .filter(({ name }) => !ignored.includes(name))

describe('a text above the largest limit', () => {
  let holdall: TestServer
  beforeAll(async () => {
    holdall = await startTestServer()
    return () => holdall[Symbol.asyncDispose]()
  })

  test.each([
    ['without a token', null],
    ['with one', undefined],
  ])('is rejected in every position of every mutation, %s', async (_, token) => {
    for (const { name, field, type, value } of slots) {
      const query = `mutation ($input: ${type}) { ${field}(input: $input) { __typename ... on UserError { code } } }`
      const { data, errors } = await holdall.graphql(
        query,
        { input: value },
        token === null ? { token } : {},
      )
      const code = data?.[field]?.code ?? errors?.[0]?.extensions?.code
      expect({ name, code }).toEqual({ name, code: expect.toBeOneOf(refusals) })
    }
  })

  test('costs less than an accepted plain text of the same length, in any position', async () => {
    const query =
      'mutation ($input: CreateFolderInput!) { createFolder(input: $input) { __typename } }'
    const costOf = async (input: object) => {
      const before = process.cpuUsage()
      for (let i = 0; i < 5; i++) await holdall.graphql(query, { input }, { token: null })
      const { user, system } = process.cpuUsage(before)
      return user + system
    }
    const workspaceId = 'ws_x'
    const plainText = 'x'.repeat(Buffer.byteLength(expensive))
    await costOf({ workspaceId, name: plainText })
    const cheap = await costOf({ workspaceId, name: plainText })
    expect(await costOf({ workspaceId, name: expensive })).toBeLessThan(20 * cheap)
    expect(await costOf({ workspaceId, name: 'x', tags: [expensive] })).toBeLessThan(20 * cheap)
  })
})

const queries = Object.values(schema.getTypeMap())
  .filter((type): type is GraphQLObjectType => isObjectType(type) && !type.name.startsWith('__'))
  .flatMap((type) => Object.values(type.getFields()).map((field) => ({ type, field })))
  .filter(({ type }) => !['Mutation', 'Subscription'].includes(type.name))

/** Queries that lead to the types whose fields take texts. */
const ways: Record<string, (field: string) => string> = {
  Query: (field) => field,
  Workspace: (field) => `workspace(by: { id: $workspace }) { ${field} }`,
  Viewer: (field) => `viewer { ${field} }`,
  Folder: (field) => `workspace(by: { id: $workspace }) { root { ${field} } }`,
}

type Field = GraphQLField<unknown, unknown>

/** Returns a field with its required selection and the expensive text in one of its arguments. */
function written({ name, args }: Field, arg: GraphQLArgument): string {
  const others = args.filter(
    (other) => other !== arg && isNonNullType(other.type) && other.defaultValue === undefined,
  )
  const given = others.map((other) => `${other.name}: ${JSON.stringify(plain(other.type))}`)
  return `${name}(${[`${arg.name}: $value`, ...given].join(', ')}) { __typename }`
}

test('a text above the largest limit is rejected in every argument of queries', async () => {
  await using holdall = await startTestServer()
  const made = await holdall.ask(
    'mutation { createWorkspace(input: { name: "w" }) { ... on CreateWorkspacePayload { workspace { id } } } }',
  )
  const workspace = made.createWorkspace.workspace.id
  const idsReadByForm = ['node.id', 'nodes.ids[]']
  let tried = 0
  for (const { type, field } of queries) {
    const way = ways[type.name]
    for (const arg of way ? field.args : []) {
      for (const { name, value } of slotsOf(arg.type, `${field.name}.${arg.name}`)) {
        const inside = way?.(written(field, arg)) ?? ''
        const more = inside.includes('$workspace') ? ', $workspace: ID!' : ''
        const query = `query ($value: ${arg.type}${more}) { ${inside} }`
        const { errors } = await holdall.graphql(query, { value, workspace })
        const code = errors?.[0]?.extensions?.code
        tried += 1
        if (idsReadByForm.includes(name)) expect({ name, code }).toEqual({ name, code: undefined })
        else expect({ name, code }).toEqual({ name, code: expect.toBeOneOf(refusals) })
      }
    }
  }
  expect(tried).toBeGreaterThan(40)
})
