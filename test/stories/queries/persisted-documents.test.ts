import { createHash } from 'node:crypto'
import { mkdtemp, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { getIntrospectionQuery } from 'graphql'
import { afterAll, describe, expect, test } from 'vitest'
import { createToken } from '../../support/data/people.ts'
import { openStream } from '../../support/network/events.ts'
import { launch } from '../../support/servers/launch.ts'
import { startTestServer, type TestServer } from '../../support/servers/test-server.ts'

const sha256 = (text: string) => createHash('sha256').update(text).digest('hex')
const named = (text: string) => ({ persistedQuery: { version: 1, sha256Hash: sha256(text) } })
const version = '{ serverInfo { version } }'
const who = 'query Who { viewer { user { name } } }'

const servers: TestServer[] = []
afterAll(() => Promise.all(servers.map((server) => server[Symbol.asyncDispose]())))
async function start(env: Record<string, string>) {
  const holdall = await startTestServer({ env })
  servers.push(holdall)
  return holdall
}

type Body = { query?: unknown; extensions?: unknown; variables?: object; operationName?: string }
type Options = { token?: string | null; method?: 'GET' }

/** Sends a request as Apollo Client does. Returns the status and the data or the code of the first error. */
async function send(holdall: TestServer, body: Body, { token, method }: Options = {}) {
  const parameters = Object.entries(body).map(([key, value]) => [
    key,
    typeof value === 'string' ? value : JSON.stringify(value),
  ])
  const post = { method: 'POST', body: JSON.stringify(body) }
  const response = await holdall.http(
    method ? `/graphql?${new URLSearchParams(parameters)}` : '/graphql',
    {
      ...(method ? { method } : post),
      headers: {
        accept: 'application/graphql-response+json, application/json;q=0.9',
        'graphql-require-preflight': '1',
        ...(!method && { 'content-type': 'application/json' }),
      },
      ...(token !== undefined && { token }),
    },
  )
  const { data, errors } = (await response.json()) as { data?: any; errors?: any[] }
  const [error] = errors ?? []
  return error
    ? { status: response.status, code: error.extensions.code, message: error.message }
    : { status: response.status, data }
}

const unsupported = {
  status: 200,
  code: 'PERSISTED_QUERY_NOT_SUPPORTED',
  message: 'PersistedQueryNotSupported',
}
const unknown = {
  status: 200,
  code: 'PERSISTED_QUERY_NOT_FOUND',
  message: 'PersistedQueryNotFound',
}
const mismatch = { status: 400, code: 'PERSISTED_QUERY_MISMATCH' }
const unlisted = { status: 400, code: 'PERSISTED_QUERY_NOT_IN_LIST' }
const answered = { status: 200, data: { serverInfo: { version: expect.any(String) } } }

describe('PERSISTED_DOCUMENTS=off', () => {
  test('answers a hash so that clients fall back to the document', async () => {
    const holdall = await start({})
    for (const token of [undefined, null])
      for (const method of [undefined, 'GET'] as const) {
        const options = { ...(token === null && { token }), ...(method && { method }) }
        expect(await send(holdall, { extensions: named(version) }, options)).toEqual(unsupported)
        expect(
          await send(holdall, { query: version, extensions: named(version) }, options),
        ).toEqual(answered)
      }
    expect(await send(holdall, { extensions: {} })).toMatchObject({ status: 400 })
  })
})

describe('PERSISTED_DOCUMENTS=apq', () => {
  const apq = () => start({ PERSISTED_DOCUMENTS: 'apq' })

  test('runs a document by its hash once a client with a token has sent it', async () => {
    const holdall = await apq()
    const hash = { extensions: named(version) }
    expect(await send(holdall, hash)).toEqual(unknown)
    expect(await send(holdall, { query: version, ...hash })).toEqual(answered)
    expect(await send(holdall, hash)).toEqual(answered)
    expect(await send(holdall, hash, { method: 'GET' })).toEqual(answered)
    expect(await send(holdall, hash, { token: null })).toEqual(answered)
    const { secret } = await createToken(holdall, { scopes: [] })
    expect(await send(holdall, hash, { token: secret })).toEqual(answered)
    expect(await send(holdall, { extensions: named(who) })).toEqual(unknown)
    await holdall.restart()
    expect(await send(holdall, hash)).toEqual(unknown)
  })

  test('stores nothing for clients without a valid token, and sends them back at once', async () => {
    const holdall = await apq()
    const hash = { extensions: named(version) }
    for (const token of [null, 'hld_invalid']) {
      expect(await send(holdall, hash, { token })).toEqual(unsupported)
      await send(holdall, { query: version, ...hash }, { token })
      expect(await send(holdall, hash)).toEqual(unknown)
    }
  })

  test('rejects a hash that is not that of the document, and stores neither', async () => {
    const holdall = await apq()
    const body = { query: who, extensions: named(version) }
    expect(await send(holdall, body)).toMatchObject(mismatch)
    for (const document of [version, who])
      expect(await send(holdall, { extensions: named(document) })).toEqual(unknown)
  })

  test.each([
    { version: 2, sha256Hash: sha256(version) },
    { version: '1', sha256Hash: sha256(version) },
    { version: 1 },
    { version: 1, sha256Hash: 5 },
    { version: 1, sha256Hash: '' },
    { version: 1, sha256Hash: '__proto__' },
    { version: 1, sha256Hash: sha256(version).toUpperCase() },
    { version: 1, sha256Hash: `${sha256(version)}\n` },
    { version: 1, sha256Hash: [sha256(version)] },
    { version: 1, sha256Hash: 'a'.repeat(100_000) },
    [],
    'constructor',
    1,
  ])('rejects the malformed hash %j', async (persistedQuery) => {
    const [holdall = await apq()] = servers.slice(-1)
    for (const query of [undefined, version]) {
      const body = { ...(query && { query }), extensions: { persistedQuery } }
      expect(await send(holdall, body)).toMatchObject({ status: 400, code: 'BAD_REQUEST' })
    }
  })

  test('leaves a query that is not a text to the checks of every request', async () => {
    const [holdall = await apq()] = servers.slice(-1)
    for (const query of [5, {}, [version], true])
      expect(await send(holdall, { query, extensions: named(version) })).toMatchObject({
        ...{ status: 400, code: 'BAD_REQUEST' },
      })
  })

  test('stores only documents that were executed', async () => {
    const holdall = await apq()
    const aliases = Array.from({ length: 101 }, (_, i) => `a${i}: __typename`).join(' ')
    const deep = `{ serverInfo ${'{ a '.repeat(30)}${'}'.repeat(30)} }`
    const long = `{ ${'__typename '.repeat(5000)} }`
    const costly =
      'query ($n: Int) { viewer { workspaces(first: $n) { nodes { entries(first: 100) { nodes { id tags { name } } } } } } }'
    for (const query of ['{', '{ nothing }', `{ ${aliases} }`, deep, long]) {
      const { status } = await send(holdall, { query, extensions: named(query) })
      expect(status).toBe(400)
      expect(await send(holdall, { extensions: named(query) })).toEqual(unknown)
    }
    // The cost depends on the variables, so it is checked at each execution.
    const extensions = named(costly)
    expect(await send(holdall, { query: costly, extensions, variables: { n: 1 } })).toMatchObject({
      ...{ status: 200, data: {} },
    })
    expect(await send(holdall, { extensions, variables: { n: 100 } })).toMatchObject({
      code: 'QUERY_TOO_COMPLEX',
    })
  })

  test('runs no mutation by GET, and subscriptions as an event stream', async () => {
    const holdall = await apq()
    const mutation = 'mutation { deleteTag(input: { tagId: "tag_0" }) { __typename } }'
    const subscription = 'subscription { uploadChanged(uploadId: "upl_0") { __typename } }'
    const body = { query: mutation, extensions: named(mutation) }
    expect(await send(holdall, body)).toMatchObject({ status: 200 })
    const hash = { extensions: named(mutation) }
    expect(await send(holdall, hash, { method: 'GET' })).toMatchObject({ status: 405 })
    using first = await openStream(holdall, subscription, {}, { extensions: named(subscription) })
    expect((await first.next())?.data.errors[0].extensions.code).toBe('NOT_FOUND')
    using second = await openStream(holdall, undefined, {}, { extensions: named(subscription) })
    expect((await second.next())?.data.errors[0].extensions.code).toBe('NOT_FOUND')
  })

  test('keeps at most 16 MiB, of what was used last', async () => {
    const holdall = await apq()
    const document = (i: number) => `{ __typename } # ${i}${'x'.repeat(900_000)}`
    const store = (i: number) =>
      send(holdall, { query: document(i), extensions: named(document(i)) })
    const isStored = async (i: number) =>
      (await send(holdall, { extensions: named(document(i)) })).status === 200 &&
      'data' in (await send(holdall, { extensions: named(document(i)) }))
    await store(0)
    for (let i = 1; i < 16; i++) {
      expect(await store(i)).toMatchObject({ status: 200, data: {} })
      expect(await isStored(0)).toBe(true)
    }
    expect([await isStored(1), await isStored(2), await isStored(15)]).toEqual([false, false, true])
  })
})

const folder = mkdtemp(join(tmpdir(), 'holdall-documents-'))
async function fileOf(content: unknown): Promise<string> {
  const text = typeof content === 'string' ? content : JSON.stringify(content)
  const file = join(await folder, `${sha256(text).slice(0, 16)}.json`)
  await writeFile(file, text)
  return file
}
const listOf = (...documents: string[]) =>
  fileOf(Object.fromEntries(documents.map((document) => [sha256(document), document])))

describe('PERSISTED_DOCUMENTS=only', () => {
  const only = async (...documents: string[]) =>
    start({ PERSISTED_DOCUMENTS: 'only', PERSISTED_DOCUMENTS_FILE: await listOf(...documents) })

  test('runs listed documents, by hash or in full, and no others', async () => {
    const holdall = await only(version, who)
    for (const body of [{ extensions: named(version) }, { query: version }])
      for (const token of [undefined, null])
        expect(await send(holdall, body, token === null ? { token } : {})).toEqual(answered)
    expect(await send(holdall, { query: version, extensions: named(version) })).toEqual(answered)
    expect(await send(holdall, { extensions: named(who) }, { method: 'GET' })).toMatchObject({
      data: { viewer: { user: { name: 'Owner' } } },
    })
    for (const query of ['{ __typename }', '{ serverInfo { versio } }', '{', '', `${version} `]) {
      expect(await send(holdall, { query })).toMatchObject(unlisted)
      expect(await send(holdall, { query, extensions: named(query) })).toMatchObject(unlisted)
    }
    expect(await send(holdall, { extensions: named('{ __typename }') })).toMatchObject(unlisted)
    expect(await send(holdall, { query: who, extensions: named(version) })).toMatchObject(mismatch)
    expect(await send(holdall, {})).toMatchObject({ status: 400 })
  })

  test('refuses introspection unless it is listed, and serves no GraphiQL', async () => {
    const introspection = getIntrospectionQuery()
    const holdall = await only(version)
    expect(await send(holdall, { query: introspection })).toMatchObject(unlisted)
    const page = await holdall.http('/graphql', { headers: { accept: 'text/html' } })
    expect([page.status, await page.json()]).toMatchObject([404, { code: 'NOT_FOUND' }])
    const listed = await only(introspection)
    expect(await send(listed, { query: introspection })).toMatchObject({ status: 200 })
  })

  const many = Array.from({ length: 101 }, (_, i) => `a${i}: __typename`).join(' ')
  const isOf = (document: string) => ({ [sha256(document)]: document })
  test.each([
    ['a document with another hash', { [sha256(who)]: version }, /its SHA-256 is [0-9a-f]{64}/],
    ['a hash in capitals', { [sha256(who).toUpperCase()]: who }, /its SHA-256 is/],
    ['a document with a syntax error', isOf('{ a'), /Syntax Error/],
    ['a field that does not exist', isOf('{ nothing }'), /Cannot query field "nothing"/],
    ['too many aliases', isOf(`{ ${many} }`), /101 aliases \(limit 100\)/],
    ['too many tokens', isOf(`{ ${'__typename '.repeat(5000)} }`), /more than 4000 tokens/],
    ['a document that is not a text', { [sha256(who)]: { kind: 'Document' } }, /it is not a text/],
    ['no documents', {}, /it contains no documents/],
    ['a list', [who], /it is not a JSON object/],
    ['no JSON', '{"a": ', /JSON/],
    ['no content', '', /JSON/],
    ['more than 16 MiB', ' '.repeat(17 * 1024 * 1024), /17825792 bytes \(limit 16777216\)/],
  ])('does not start with %s', async (_, content, reason) => {
    const { readTrustedDocuments } = await import('../../../src/http/graphql/trusted-documents.ts')
    const file = await fileOf(content)
    const read = () => readTrustedDocuments(file)
    expect(read).toThrow(reason)
    expect(read).toThrow(
      /^PERSISTED_DOCUMENTS_FILE is ".*", which cannot be used: [^\n]{1,400}\.$/s,
    )
  })

  test.each(['/nonexistent/documents.json', tmpdir(), '/dev/zero'])(
    'does not start with %s, and says so in a sentence',
    async (file) => {
      const env = { PERSISTED_DOCUMENTS: 'only', PERSISTED_DOCUMENTS_FILE: file, PORT: '0' }
      const server = await launch({ ...env, DATA_DIR: await mkdtemp(join(tmpdir(), 'holdall-')) })
      expect(await server.exited).toBe(1)
      expect(server.output.err).toMatch(
        /^PERSISTED_DOCUMENTS_FILE is ".*", which cannot be used: .+\.\n$/,
      )
    },
  )
})
