import { getIntrospectionQuery } from 'graphql'
import { expect, onTestFinished, test } from 'vitest'
import { startTestServer, type TestServer } from '../../support/servers/test-server.ts'

async function open(INTROSPECTION: string): Promise<TestServer> {
  const holdall = await startTestServer({ env: { INTROSPECTION } })
  onTestFinished(() => holdall[Symbol.asyncDispose]())
  return holdall
}

const introspections = [
  getIntrospectionQuery(),
  '{ __schema { types { name } } }',
  '{ t: __type(name: "File") { name } }',
  'query A { __typename __schema { queryType { name } } }',
  '{ ...s } fragment s on Query { ... on Query { __type(name: "User") { name } } }',
  'mutation { __schema { types { name } } }',
]
const misspelled = '{ viewr { user { id } } }'

/** Returns the error code of each introspection; undefined for success. */
const codesOf = async (holdall: TestServer, token: string | null | undefined) => {
  const codes = new Set<string | undefined>()
  for (const query of introspections) {
    const { errors } = await holdall.graphql(query, {}, token === undefined ? {} : { token })
    codes.add(errors?.[0]?.extensions?.code)
  }
  return [...codes]
}

test('on: anyone reads the schema, and errors suggest names', async () => {
  const holdall = await open('on')
  const { data } = await holdall.graphql('{ __schema { queryType { name } } }', {}, { token: null })
  expect(data.__schema.queryType.name).toBe('Query')
  const { errors } = await holdall.graphql(misspelled, {}, { token: null })
  expect(errors?.[0]?.message).toContain('Did you mean')
})

test('authenticated: a token is required to read the schema', async () => {
  const holdall = await open('authenticated')
  const { data } = await holdall.graphql('{ __schema { queryType { name } } }')
  expect(data.__schema.queryType.name).toBe('Query')
  // These documents right after: no cached answer to a token is given without one.
  expect(await codesOf(holdall, null)).toEqual(['FORBIDDEN'])
  expect(await holdall.graphql('{ __typename }', {}, { token: null })).toMatchObject({
    data: { __typename: 'Query' },
  })
})

test('authenticated: errors suggest names only with a token', async () => {
  const holdall = await open('authenticated')
  const messageFor = async (token: string | null) =>
    (await holdall.graphql(misspelled, {}, { token })).errors?.[0]?.message
  expect(await messageFor(holdall.token)).toContain('Did you mean "viewer"?')
  expect(await messageFor(null)).toBe('Cannot query field "viewr" on type "Query".')
  expect(await messageFor('hld_not-a-token-of-anyone')).not.toContain('viewer')
  const wrongValue =
    'mutation ($m: BatchMode!) { trashEntries(input: { entries: [], mode: $m }) { __typename } }'
  const { errors } = await holdall.graphql(wrongValue, { m: 'BEST_EFORT' }, { token: null })
  expect(errors?.[0]?.message).not.toContain('BEST_EFFORT')
})

test('off: no error suggests a name, whatever is misspelled', async () => {
  const holdall = await open('off')
  for (const query of [
    '{ workspace(by: { slugg: "x" }) { id } }',
    'query ($by: WorkspaceBy = { slg: "x" }) { workspace(by: $by) { id } }',
    'mutation { createWorkspace(input: { nam: "x" }) { __typename } }',
    'mutation { trashEntries(input: { entries: [], mode: BEST_EFORT }) { __typename } }',
    '{ node(idd: "x") { id } }',
    '{ node(id: "x") @skp(if: true) { id } }',
    '{ node(id: "x") { ... on Fil { id } } }',
    'query ($i: Strin) { node(id: $i) { id } }',
  ]) {
    const { errors } = await holdall.graphql(query)
    expect([query, errors?.[0]?.message]).toEqual([query, expect.any(String)])
    expect(JSON.stringify(errors)).not.toContain('Did you mean')
  }
  const query = 'query ($by: WorkspaceBy!) { workspace(by: $by) { id } }'
  const { errors } = await holdall.graphql(query, { by: { slg: 'x' } })
  expect(errors?.[0]?.message).toContain('slg')
  expect(JSON.stringify(errors)).not.toContain('Did you mean')
})

test('off: no client reads the schema', async () => {
  const holdall = await open('off')
  expect(await codesOf(holdall, undefined)).toEqual(['FORBIDDEN'])
  expect(await codesOf(holdall, null)).toEqual(['FORBIDDEN'])
  const { viewer } = await holdall.ask('{ viewer { user { id } } }')
  expect(viewer.user.id).toBeTruthy()
})
