import { beforeAll, describe, expect, onTestFinished, test } from 'vitest'
import { act, createFolder, createWorkspace, uploadFile } from '../../support/client.ts'
import { startTestServer, type TestServer } from '../../support/servers/test-server.ts'
import { timingRetries } from '../../support/timed.ts'

let holdall: TestServer
let workspaceId: string
let rootId: string
beforeAll(async () => {
  holdall = await startTestServer()
  const workspace = await createWorkspace(holdall)
  workspaceId = workspace.id
  rootId = workspace.root.id
  return () => holdall[Symbol.asyncDispose]()
})

type Headers = Record<string, string>
const json = { 'content-type': 'application/json', accept: 'application/graphql-response+json' }
const post = (body: string, headers: Headers = json, as = holdall) =>
  as.http('/graphql', { method: 'POST', headers, body })

const times = (n: number, make: (i: number) => string) =>
  Array.from({ length: n }, (_, i) => make(i)).join(' ')
const nest = (depth: number, open: string, inside: string, close: string) =>
  `${open.repeat(depth)}${inside}${close.repeat(depth)}`

/** Matches stack traces and paths of the server, which no client may see. */
const secrets = /\bat .+:\d+:\d+|node_modules|\/src\/|\.ts\b|node:internal|SQLITE|select .* from/i

const QUERY = 'QUERY_TOO_COMPLEX'
const deepJson = nest(100_000, '{"a":', '1', '}')
const folderPages = (levels: number) =>
  `query ($id: ID!) { node(id: $id) { ... on Folder { ${nest(
    levels,
    'children(first: 100) { nodes { id ... on Folder { ',
    'name',
    ' } } }',
  )} } } }`

type Attack = { query: string; variables?: string; code: string }
/** The attacks, and the code that refuses each. */
const attacks: Record<string, Attack> = {
  'fields that nest 30 deep': {
    query: `{ node(id: "x") { ${nest(15, '... on Folder { parent { ancestors { ', 'id', ' } } }')} } }`,
    code: QUERY,
  },
  'brackets that nest 1,900 deep': { query: nest(1900, '{ a ', '', '}'), code: QUERY },
  'a list that nests 1,500 deep': {
    query: `{ node(id: ${nest(1500, '[', '1', ']')}) { id } }`,
    code: 'GRAPHQL_VALIDATION_FAILED',
  },
  '10,000 aliases': { query: `{ ${times(10_000, (i) => `a${i}: __typename`)} }`, code: QUERY },
  '101 aliases': { query: `{ ${times(101, (i) => `a${i}: __typename`)} }`, code: QUERY },
  '1,001 fields': { query: `{ ${times(1001, () => '__typename')} }`, code: QUERY },
  'aliases of a dear field in one mutation': {
    query: `mutation { ${times(101, (i) => `a${i}: deleteTag(input: { tagId: "x" }) { __typename }`)} }`,
    code: QUERY,
  },
  'fragments that spread each other twice': {
    query: `{ ...f0 } ${times(40, (i) => `fragment f${i} on Query { ...f${i + 1} ...f${i + 1} }`)} fragment f40 on Query { __typename }`,
    code: QUERY,
  },
  'fragments in a circle': {
    query: '{ ...a } fragment a on Query { ...b } fragment b on Query { ...a }',
    code: 'GRAPHQL_VALIDATION_FAILED',
  },
  'a fragment of itself': {
    query: '{ ...a } fragment a on Query { __typename ...a }',
    code: 'GRAPHQL_VALIDATION_FAILED',
  },
  '300 fragments': {
    query: `{ __typename } ${times(300, (i) => `fragment f${i} on Query { a }`)}`,
    code: QUERY,
  },
  '1,500 directives on a field': {
    query: `{ __typename ${times(1500, (i) => `@d${i}`)} }`,
    code: QUERY,
  },
  '101 directives that exist': {
    query: `{ __typename ${times(101, () => '@skip(if: false)')} }`,
    code: QUERY,
  },
  '900 variables with directives': {
    query: `query (${times(900, (i) => `$v${i}: Int @d`)}) { __typename }`,
    code: QUERY,
  },
  '900 KB of nothing': {
    query: `{ __typename ${' '.repeat(900_000)} @`,
    code: 'GRAPHQL_PARSE_FAILED',
  },
  'a string of 900 KB where a number is wanted': {
    query: 'query ($n: Int) { viewer { workspaces(first: $n) { nodes { id } } } }',
    variables: JSON.stringify({ n: 'x'.repeat(900_000) }),
    code: 'BAD_REQUEST',
  },
  '20,000 ids in a variable': {
    query: 'query ($ids: [ID!]!) { nodes(ids: $ids) { id ... on File { name path size } } }',
    variables: JSON.stringify({ ids: Array.from({ length: 20_000 }, (_, i) => `file_${i}`) }),
    code: QUERY,
  },
  '3,500 ids in the document': {
    query: `{ nodes(ids: [${times(3500, (i) => `"${i}"`)}]) { id } }`,
    code: 'INVALID_INPUT',
  },
  'pages within pages within pages': {
    query: folderPages(3),
    variables: '{"id":"folder_x"}',
    code: QUERY,
  },
  'JSON 100,000 deep where JSON is wanted': {
    query: 'mutation ($i: UpdateEntryInput!) { updateEntry(input: $i) { __typename } }',
    variables: `{"i":{"entry":{"id":"x"},"metadata":${deepJson}}}`,
    code: 'BAD_REQUEST',
  },
  'JSON 100,000 deep where an id is wanted': {
    query: 'query ($id: ID!) { node(id: $id) { id } }',
    variables: `{"id":${deepJson}}`,
    code: 'BAD_REQUEST',
  },
  'introspection of introspection': {
    query: `{ __schema { types { ${nest(11, 'fields { type { ', 'name', ' } }')} } } }`,
    code: QUERY,
  },
}

const bodyOf = ({ query, variables = '{}' }: Attack) =>
  `{"query":${JSON.stringify(query)},"variables":${variables}}`

/** Returns CPU milliseconds of this process, client and server together. */
async function spent(act: () => Promise<unknown>) {
  const before = process.cpuUsage()
  await act()
  const { user, system } = process.cpuUsage(before)
  return (user + system) / 1000
}

/** Returns the CPU time of a small request in milliseconds, at least one. */
async function smallCost() {
  const body = JSON.stringify({ query: '{ __typename }' })
  const many = async () => {
    for (let i = 0; i < 20; i++) await (await post(body)).arrayBuffer()
  }
  return Math.max(1, (await spent(many)) / 20)
}

describe.each(Object.entries(attacks))('S15: %s', (_, attack) => {
  test(`is refused with 400 ${attack.code}, in a short message, also when repeated`, async () => {
    for (const _ of ['first', 'again']) {
      const response = await post(bodyOf(attack))
      const text = await response.text()
      expect(response.status).toBe(400)
      const { data, errors } = JSON.parse(text)
      expect(data ?? null).toBeNull()
      expect(errors.map(({ extensions }: any) => extensions.code)).toContain(attack.code)
      expect(text.length).toBeLessThan(12_000)
      expect(text).not.toMatch(secrets)
    }
  })

  test('costs no more than 50 small requests', timingRetries, async () => {
    const body = bodyOf(attack)
    const once = () => spent(async () => (await post(body)).arrayBuffer())
    await once()
    // The minimum of several runs, as the machine may be busy.
    const costs = [await once(), await once(), await once()]
    expect(Math.min(...costs)).toBeLessThan(50 * (await smallCost()))
  })
})

describe('S15: a request that is too large', () => {
  test('is 413 above 1 MB, and accepted below', async () => {
    const body = (bytes: number) => {
      const query = `{ __typename } #${'x'.repeat(bytes - 30)}`
      return JSON.stringify({ query }).padEnd(bytes)
    }
    const [fits, large] = [await post(body(1_000_000)), await post(body(1_000_001))]
    expect([fits.status, large.status]).toEqual([200, 413])
    expect(await large.text()).not.toMatch(secrets)
  })

  test('costs no more than 50 small requests at 10 MB', timingRetries, async () => {
    const body = `{"query":"{ __typename }"}${' '.repeat(10_000_000)}`
    const once = () => spent(async () => expect((await post(body)).status).toBe(413))
    await once()
    const cost = Math.min(await once(), await once(), await once())
    expect(cost).toBeLessThan(50 * (await smallCost()))
  })
})

describe('S22: requests that a page of another origin could make a browser send', () => {
  const mutation = 'mutation { createWorkspace(input: { name: "Forged" }) { __typename } }'
  const plain = JSON.stringify({ query: mutation })
  const countWorkspaces = async () =>
    (await holdall.ask('{ viewer { workspaces { totalCount } } }')).viewer.workspaces.totalCount

  const form = (fields: Record<string, string>) => {
    const data = new FormData()
    for (const [name, value] of Object.entries(fields)) data.set(name, value)
    return data
  }
  const upload = { operations: plain, map: '{}' }
  const bodies: [string, Headers, BodyInit][] = [
    ['text/plain', { 'content-type': 'text/plain' }, plain],
    ['no type at all', { 'content-type': '' }, plain],
    ['a form', {}, new URLSearchParams({ query: mutation })],
    ['a form with files', {}, form({ query: mutation })],
    ['the multipart request of file uploads', {}, form(upload)],
    ['application/graphql', { 'content-type': 'application/graphql' }, mutation],
  ]

  test.each(bodies)('are refused, with a token and without: %s', async (_, headers, body) => {
    const before = await countWorkspaces()
    for (const token of [holdall.token, null]) {
      const response = await holdall.http('/graphql', { method: 'POST', headers, body, token })
      expect([403, 415]).toContain(response.status)
      expect(await response.text()).not.toMatch(secrets)
    }
    expect(await countWorkspaces()).toBe(before)
  })

  test('a GET runs no mutation, and no query without a custom header', async () => {
    const before = await countWorkspaces()
    const search = (query: string) => `/graphql?query=${encodeURIComponent(query)}`
    const requested = await holdall.http(search(mutation), { headers: json })
    expect([requested.status, requested.headers.get('allow')]).toEqual([405, 'POST'])
    expect((await holdall.http(search('{ __typename }'), { token: null })).status).toBe(403)
    const header = { 'graphql-require-preflight': '1' }
    const query = await holdall.http(search('{ __typename }'), { token: null, headers: header })
    expect(await query.json()).toEqual({ data: { __typename: 'Query' } })
    expect(await countWorkspaces()).toBe(before)
  })
})

describe('S14: one request is one operation', () => {
  test('an array of requests is refused', async () => {
    const one = { query: '{ __typename }' }
    for (const list of [[one], [one, one], Array(500).fill(one), []]) {
      const response = await post(JSON.stringify(list))
      expect(response.status).toBe(400)
      expect(await response.text()).not.toMatch(secrets)
    }
  })

  test('several operations in a document require operationName', async () => {
    const query = 'query A { a: __typename } query B { b: __typename }'
    const one = await post(JSON.stringify({ query, operationName: 'B' }))
    expect(await one.json()).toEqual({ data: { b: 'Query' } })
    expect((await post(JSON.stringify({ query }))).status).toBe(400)
  })
})

describe('S15, S16: the cost of a query', () => {
  const page =
    'query ($id: ID!, $first: Int) { workspace(by: { id: $id }) { entries(first: $first) { nodes { id name path tags { name } } } } }'

  test('counts variables: the same document passes with small values and not with large ones', async () => {
    const poor = await startTestServer({ env: { MAX_QUERY_COST: '200' } })
    onTestFinished(() => poor[Symbol.asyncDispose]())
    const { id } = await createWorkspace(poor)
    const ask = (first: number) => poor.graphql(page, { id, first })
    expect((await ask(2)).data).toEqual({ workspace: { entries: { nodes: [] } } })
    const many = await ask(99)
    expect([many.status, many.errors?.[0]?.extensions?.code]).toEqual([400, QUERY])
    expect(many.errors?.[0]?.message).toMatch(/^query has complexity \d+ \(limit 200\)$/)
    expect((await ask(2)).status).toBe(200)
    expect((await poor.ask('{ serverInfo { maxQueryCost } }')).serverInfo.maxQueryCost).toBe(200)
  })

  test('leaves room for typical clients: 100 entries with tags, 20 folders with 10 entries each', async () => {
    const folders = await Promise.all(
      Array.from({ length: 3 }, (_, i) => createFolder(holdall, { workspaceId, name: `box ${i}` })),
    )
    for (const { id } of folders)
      await uploadFile(holdall, {
        workspaceId,
        folderId: id,
        name: 'a.txt',
        bytes: 'a',
        tags: ['red'],
      })
    await act(
      holdall,
      'tagEntries',
      { entries: folders.map(({ id }) => ({ entry: { id } })), add: ['red'] },
      'succeeded',
    )

    const hundred = `query ($id: ID!) { rateLimit { cost } workspace(by: { id: $id }) { entries(first: 100) {
      totalCount pageInfo { hasNextPage endCursor }
      nodes { __typename id name path updatedAt createdBy { name } tags { name color }
        ... on File { size mediaType kind sha256 downloadUrl { url expiresAt } } } } } }`
    const wide = await holdall.ask(hundred, { id: workspaceId })
    expect(wide.workspace.entries.nodes).toHaveLength(6)
    expect(wide.workspace.entries.nodes.every(({ tags }: any) => tags[0].name === 'red')).toBe(true)
    expect(wide.rateLimit.cost).toBeLessThan(15_000)

    const nested = `query ($id: ID!) { rateLimit { cost } node(id: $id) { ... on Folder { children(first: 20) {
      nodes { id name tags { name } ... on Folder { totals { bytes } children(first: 10) {
        nodes { id name path tags { name } ... on File { size mediaType downloadUrl { url } } } } } } } } } }`
    const deep = await holdall.ask(nested, { id: rootId })
    expect(deep.node.children.nodes.map(({ children }: any) => children.nodes.length)).toEqual([
      1, 1, 1,
    ])
    expect(deep.rateLimit.cost).toBeLessThan(15_000)
  })

  test('does not rise with an invalid page size, which has its own error', async () => {
    for (const first of [1_000_000_000, 101, 0, -1]) {
      const { data, errors } = await holdall.graphql(page, { id: workspaceId, first })
      expect(data).toEqual({ workspace: null })
      expect(errors).toMatchObject([{ extensions: { code: 'BAD_PAGE_SIZE' } }])
    }
  })
})

test('S34: an internal error is INTERNAL_SERVER_ERROR with the id of the request, and nothing more', async () => {
  const broken = await startTestServer()
  const { id } = await createWorkspace(broken)
  await broken.app.db.schema.dropTable('entryTags').execute()
  const query = 'query ($id: ID!) { workspace(by: { id: $id }) { root { tags { name } } } }'
  const { errors, headers } = await broken.graphql(query, { id })
  expect(errors).toEqual([
    {
      message: 'internal server error',
      path: ['workspace', 'root', 'tags'],
      locations: expect.anything(),
      extensions: { code: 'INTERNAL_SERVER_ERROR', requestId: headers.get('x-request-id') },
    },
  ])
  await broken[Symbol.asyncDispose]()
})
