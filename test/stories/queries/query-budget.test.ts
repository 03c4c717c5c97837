import { getIntrospectionQuery } from 'graphql'
import { beforeAll, describe, expect, onTestFinished, test, vi } from 'vitest'
import { statementsOf } from '../../guards/schema/plan-steps.ts'
import { act, createFolder, createWorkspace, lookUp } from '../../support/client.ts'
import { openStream } from '../../support/network/events.ts'
import { startTestServer, type TestServer } from '../../support/servers/test-server.ts'

let holdall: TestServer
let workspace: { id: string; root: { id: string } }
beforeAll(async () => {
  holdall = await startTestServer()
  workspace = await createWorkspace(holdall)
  for (let i = 0; i < 24; i++)
    await createFolder(holdall, {
      workspaceId: workspace.id,
      name: `folder ${i}`,
      description: 'd'.repeat(10_000),
      metadata: { long: 'm'.repeat(30_000) },
      tags: Array.from({ length: 50 }, (_, i) => `tag ${i}`),
    })
  return () => holdall[Symbol.asyncDispose]()
})

const open = async (env: Record<string, string>) => {
  const opened = await startTestServer({ env })
  onTestFinished(() => opened[Symbol.asyncDispose]())
  return opened
}

const entries = (selection: string) =>
  `query ($id: ID!) { workspace(by: { id: $id }) { entries(first: 24) { nodes { ${selection} } } } }`
const times = (n: number, field: string) =>
  Array.from({ length: n }, (_, i) => `a${i}: ${field}`).join(' ')

/** Expects the whole request to be refused: once, with 400, and without data. */
async function expectTooComplex(as: TestServer, query: string, id = workspace.id) {
  const { status, data, errors } = await as.graphql(query, { id })
  expect([status, data ?? null]).toEqual([400, null])
  expect(errors).toHaveLength(1)
  expect(errors?.[0]?.extensions?.code).toBe('QUERY_TOO_COMPLEX')
  return errors?.[0]?.message
}

describe('the cost estimate', () => {
  test.each([
    ['tags of entries of tags', 'tags { entries(first: 5) { nodes { tags { name } } } }'],
    [
      'children without a size',
      'workspace { entries { nodes { workspace { entries { nodes { id } } } } } }',
    ],
    ['ids alone', 'workspace { entries(first: 100) { edges { node { tags { id } } } } }'],
    ['ancestors of ancestors', 'ancestors { ancestors { ancestors { id } } }'],
    ['links of ancestors', 'ancestors { sharing { links { entry { ancestors { id } } } } }'],
  ])('refuses nested lists by their maximum size: %s', async (_, selection) => {
    expect(await expectTooComplex(holdall, entries(selection))).toMatch(/query has complexity/)
  })

  test('refuses an alias that every object of the response would repeat', async () => {
    await expectTooComplex(holdall, entries(`${'a'.repeat(257)}: __typename`))
    const fits = await holdall.graphql(entries(`${'a'.repeat(256)}: __typename`), {
      id: workspace.id,
    })
    expect(fits.status).toBe(200)
  })
})

describe('the executed budget', () => {
  test('counts text as JSON encodes it', async () => {
    const small = await open({ MAX_RESPONSE_BYTES: '100000' })
    const { id } = await createWorkspace(small)
    const escaped = '\u0001'.repeat(5000)
    await createFolder(small, { workspaceId: id, name: 'a', description: escaped })
    const many = (n: number) => entries(times(n, 'description'))
    expect((await small.graphql(many(3), { id })).errors).toBeUndefined()
    await expectTooComplex(small, many(4), id)
  })

  test('counts __typename, in introspection, too', async () => {
    const small = await open({ MAX_RESPONSE_BYTES: '200000' })
    const aliases = Array.from({ length: 98 }, (_, i) => `${'x'.repeat(200)}${i}: __typename`)
    const names = `{ ${aliases.join(' ')} }`
    await expectTooComplex(small, `{ __schema { types ${names} } }`)
    await expectTooComplex(small, `{ __schema { types { ...t } } } fragment t on __Type ${names}`)
  })

  test('ends a request with more objects than MAX_RESPONSE_NODES, as a whole', async () => {
    const small = await open({ MAX_RESPONSE_NODES: '1000' })
    const { id } = await createWorkspace(small)
    for (let i = 0; i < 10; i++)
      await createFolder(small, { workspaceId: id, name: `${i}`, tags: ['t', 'u'] })
    const page = (n: number) => `query ($id: ID!) { workspace(by: { id: $id }) {
      ${times(n, 'entries(first: 10) { nodes { id tags { id } } }')} } }`
    expect((await small.graphql(page(10), { id })).errors).toBeUndefined()
    expect(await expectTooComplex(small, page(36), id)).toBe('response has more than 1000 objects')
  })

  test.each([
    ['a long text under many aliases', times(99, 'description')],
    ['metadata under many aliases', times(99, 'metadata')],
  ])('ends a request with more bytes than MAX_RESPONSE_BYTES: %s', async (_, selection) => {
    const message = await expectTooComplex(holdall, entries(selection))
    expect(message).toBe('response has more than 20000000 bytes')
  })

  test('counts introspection, and leaves room for that of typical clients', async () => {
    const small = await open({ MAX_RESPONSE_NODES: '5000' })
    const whole = await small.graphql(getIntrospectionQuery())
    expect(whole.errors).toBeUndefined()
    const inner = times(4, 'args { type { name ofType { name ofType { name } } } }')
    const flood = `{ __schema { types { ${times(9, `fields { name type { name } ${inner} }`)} } } }`
    await expectTooComplex(small, flood)
  })

  test('applies to each event of a subscription, and the next event follows', async () => {
    const small = await open({ MAX_RESPONSE_BYTES: '10000' })
    const { id } = await createWorkspace(small)
    using stream = await openStream(
      small,
      'subscription ($id: ID!) { workspaceChanges(workspaceId: $id) { ... on ChangeBatch { changes { ... on EntryUpserted { entry { name description } } } } } }',
      { id },
    )
    expect((await stream.next())?.data).toEqual({ data: { workspaceChanges: { changes: [] } } })
    await createFolder(small, { workspaceId: id, name: 'large', description: 'd'.repeat(10_000) })
    const refused = (await stream.next())?.data
    expect(refused.data ?? null).toBeNull()
    expect(refused.errors[0].extensions.code).toBe('QUERY_TOO_COMPLEX')
    await createFolder(small, { workspaceId: id, name: 'small' })
    const changes = (await stream.next())?.data.data.workspaceChanges.changes
    expect(changes).toEqual([{ entry: { name: 'small', description: null } }])
  })

  test('rejects @defer and @stream', async () => {
    for (const query of ['{ ... @defer { __typename } }', '{ nodes(ids: []) @stream { id } }'])
      expect((await holdall.graphql(query)).errors?.[0]?.extensions?.code).toBe(
        'GRAPHQL_VALIDATION_FAILED',
      )
  })
})

/** Locks the workspace as another writer does, until `release` is called. */
async function lockWorkspace(as: TestServer, workspaceId: string) {
  const [held, released] = [Promise.withResolvers<void>(), Promise.withResolvers<void>()]
  const done = as.app.db.transaction().execute(async (tx) => {
    await tx.updateTable('workspaces').set({ name: 'Held' }).where('id', '=', workspaceId).execute()
    held.resolve()
    await released.promise
  })
  await held.promise
  return async () => {
    released.resolve()
    await done
  }
}

const two = `mutation ($id: ID!) {
  a: createFolder(input: { workspaceId: $id, name: "a" }) { ... on CreateFolderPayload { folder { id name } } }
  b: createFolder(input: { workspaceId: $id, name: "b" }) { ... on CreateFolderPayload { folder { id name } } }
}`
const names = async (as: TestServer, id: string) =>
  (
    await as.ask('query ($id: ID!) { workspace(by: { id: $id }) { entries { nodes { name } } } }', {
      id,
    })
  ).workspace.entries.nodes.map(({ name }: { name: string }) => name)

describe('the deadline of a request', () => {
  test('ends a waiting read with TIMEOUT, while the lock is still held', async () => {
    const hasty = await open({ REQUEST_TIMEOUT_MS: '300' })
    const { id, root } = await createWorkspace(hasty)
    const { id: folder } = await createFolder(hasty, { folder: { id: root.id }, name: 'shared' })
    const { shareLink } = await act(
      hasty,
      'createShareLink',
      { entry: { id: folder } },
      'shareLink { token }',
    )
    const query = 'query ($token: String!) { shared(token: $token) { entry { name } } }'
    const release = await lockWorkspace(hasty, id)
    // Opening a share is logged, so it waits for the lock of the workspace.
    const late = await hasty.graphql(query, shareLink)
    expect([late.status, late.data ?? null]).toEqual([504, null])
    expect(late.errors).toMatchObject([{ extensions: { code: 'TIMEOUT' } }])
    await release()
    expect((await hasty.graphql(query, shareLink)).data.shared.entry.name).toBe('shared')
  })

  test('lets a running mutation field finish, and starts none after it', async () => {
    const hasty = await open({ REQUEST_TIMEOUT_MS: '300' })
    const { id } = await createWorkspace(hasty)
    const release = await lockWorkspace(hasty, id)
    const requested = hasty.graphql(two, { id })
    await new Promise((resolve) => setTimeout(resolve, 700))
    await release()
    const { data, errors } = await requested
    expect(data).toEqual({ a: { folder: { id: expect.any(String), name: 'a' } }, b: null })
    expect(errors).toMatchObject([{ path: ['b'], extensions: { code: 'TIMEOUT' } }])
    expect(await names(hasty, id)).toEqual(['a'])
  })
})

describe('a client that has disconnected', () => {
  const send = (query: string, variables: object) => {
    const gone = new AbortController()
    const requested = holdall.http('/graphql', {
      method: 'POST',
      headers: { 'content-type': 'application/json' },
      body: JSON.stringify({ query, variables }),
      signal: gone.signal,
    })
    return { requested: requested.catch(() => 'gone'), leave: () => gone.abort() }
  }

  test('lets a running mutation field finish, and starts none after it', async () => {
    const { id } = await createWorkspace(holdall)
    const release = await lockWorkspace(holdall, id)
    const { requested, leave } = send(two, { id })
    await new Promise((resolve) => setTimeout(resolve, 300))
    leave()
    expect(await requested).toBe('gone')
    await new Promise((resolve) => setTimeout(resolve, 200))
    await release()
    await vi.waitFor(async () => expect(await names(holdall, id)).toEqual(['a']))
    await createFolder(holdall, { workspaceId: id, name: 'c' })
    expect(await names(holdall, id)).toEqual(['a', 'c'])
  })

  test('ends the reads that it requested', async () => {
    const { id, root } = await createWorkspace(holdall)
    const folder = await createFolder(holdall, { folder: { id: root.id }, name: 'shared' })
    await createFolder(holdall, { folder: { id: folder.id }, name: 'inside' })
    const { shareLink } = await act(
      holdall,
      'createShareLink',
      { entry: { id: folder.id } },
      'shareLink { token }',
    )
    const query = `query ($token: String!) { shared(token: $token) { entry { name ... on Folder {
      ${times(20, 'children(first: 2) { nodes { name tags { name } } totalCount }')} } } } }`
    const countReads = async (fn: () => Promise<unknown>) =>
      (await statementsOf(holdall.app.db, fn)).filter(({ sql }) => /from "entries"/i.test(sql))
        .length

    const all = await countReads(() => holdall.graphql(query, shareLink))
    const some = await countReads(async () => {
      const release = await lockWorkspace(holdall, id)
      const { requested, leave } = send(query, shareLink)
      await new Promise((resolve) => setTimeout(resolve, 300))
      leave()
      await requested
      await new Promise((resolve) => setTimeout(resolve, 200))
      await release()
      await lookUp(holdall, folder, 'name')
      await new Promise((resolve) => setTimeout(resolve, 300))
    })
    expect(all).toBeGreaterThan(20)
    expect(some).toBeLessThan(all - 20)
  })
})
