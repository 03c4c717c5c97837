import { describe, expect, onTestFinished, test, vi } from 'vitest'
import type { Env } from '../../../src/config/env.ts'
import { createUpload, createWorkspace, downloadUrl, uploadFile } from '../../support/client.ts'
import { createToken } from '../../support/data/people.ts'
import { tusOf } from '../../support/network/tus.ts'
import { startTestServer } from '../../support/servers/test-server.ts'

const limited = { RATE_LIMIT: '200', MAX_QUERY_COST: '150' }

async function open(env: Env = limited) {
  const holdall = await startTestServer({ env })
  onTestFinished(() => holdall[Symbol.asyncDispose]())
  return holdall
}
type TestServer = Awaited<ReturnType<typeof open>>

/** The rate limit that the response headers report. */
const rateLimitOf = ({ headers }: { headers: Headers }) =>
  Object.fromEntries(
    ['limit', 'remaining', 'reset'].map((name) => {
      const value = headers.get(`ratelimit-${name}`)
      return [name, value === null ? null : Number(value)]
    }),
  )
const remaining = (response: { headers: Headers }) => rateLimitOf(response).remaining ?? Number.NaN

const SMALL = '{ serverInfo { version } }'
/** Three points for each item, and a few for the rest of the query. */
const page =
  'query ($slug: String!, $first: Int!) { workspace(by: { slug: $slug }) { entries(first: $first) { nodes { id name path } } } }'

const asAddress = (holdall: TestServer, address: string, token: string | null = null) =>
  holdall.http('/graphql', {
    method: 'POST',
    token,
    headers: { 'content-type': 'application/json', 'x-forwarded-for': address },
    body: JSON.stringify({ query: SMALL }),
  })

/** Consumes the rest of a minute: of a token, or of this address without one. */
async function exhaustLimit(holdall: TestServer, token: string | null = holdall.token) {
  const as = { token }
  let left = remaining(await holdall.graphql(SMALL, {}, as))
  while (left > 110) left = remaining(await holdall.graphql(page, { slug: 'none', first: 35 }, as))
  while (left > 0) left = remaining(await holdall.http('/download/file_none', as))
}

describe('with a limit', () => {
  test('a query consumes its cost, including variables, and reports the rest', async () => {
    const holdall = await open()
    const { slug } = await createWorkspace(holdall)
    const query = page.replace(
      '{ workspace',
      '{ rateLimit { limit cost remaining resetAt } workspace',
    )
    const before = remaining(await holdall.graphql(SMALL))
    const few = await holdall.graphql(query, { slug, first: 2 })
    const many = await holdall.graphql(query, { slug, first: 20 })
    expect(few.errors).toBeUndefined()
    expect(before - remaining(few)).toBe(few.data.rateLimit.cost)
    expect(remaining(few) - remaining(many)).toBe(many.data.rateLimit.cost)
    expect(many.data.rateLimit.cost - few.data.rateLimit.cost).toBeGreaterThanOrEqual(18 * 3)

    const { limit, remaining: left, resetAt } = many.data.rateLimit
    expect({ limit, remaining: left }).toEqual({ limit: 200, remaining: remaining(many) })
    const reset = rateLimitOf(many).reset ?? 0
    expect(Math.abs(Date.parse(resetAt) - Date.now() - reset * 1000)).toBeLessThan(2000)
    expect(reset).toBeLessThanOrEqual(60)
  })

  test('only the executed operation of a document is charged', async () => {
    const holdall = await open()
    const { slug } = await createWorkspace(holdall)
    const cheap = 'query Cheap { serverInfo { version } }'
    const query = `${cheap} ${page.replace('query', 'query Dear')}`
    const before = remaining(await holdall.graphql(SMALL))
    const response = await holdall.http('/graphql', {
      method: 'POST',
      headers: { 'content-type': 'application/json' },
      body: JSON.stringify({ query, operationName: 'Dear', variables: { slug, first: 30 } }),
    })
    expect((await response.json()).data.workspace.entries).toEqual({ nodes: [] })
    expect(before - remaining(response)).toBeGreaterThan(90)
  })

  test('a document that does not parse, validate or may not run costs one point', async () => {
    const holdall = await open()
    let before = remaining(await holdall.graphql(SMALL))
    for (const query of ['{', '{ nothing }', page]) {
      const answer = await holdall.graphql(query, { slug: 'none', first: 100 })
      expect(answer.errors).toHaveLength(1)
      expect([query, before - remaining(answer)]).toEqual([query, 1])
      before = remaining(answer)
    }
  })

  test('an exhausted limit gives RATE_LIMITED with Retry-After, and the next minute starts anew', async () => {
    vi.useFakeTimers({ toFake: ['Date'] })
    onTestFinished(() => void vi.useRealTimers())
    const holdall = await open()
    await exhaustLimit(holdall)
    const refused = await holdall.graphql(SMALL)
    expect(refused.status).toBe(429)
    expect(refused.data).toBeUndefined()
    const seconds = Number(refused.headers.get('retry-after'))
    expect(refused.errors).toEqual([
      {
        message: `too many requests; try again in ${seconds} s`,
        extensions: { code: 'RATE_LIMITED', retryAfterSeconds: seconds },
      },
    ])
    expect(seconds).toBeGreaterThan(50)
    expect(rateLimitOf(refused)).toEqual({ limit: 200, remaining: 0, reset: seconds })

    vi.setSystemTime(Date.now() + seconds * 1000)
    const anew = await holdall.graphql(SMALL)
    expect([anew.status, remaining(anew)]).toEqual([200, 198])
  })

  test('a query that costs more than is left is refused, without consuming its cost', async () => {
    const holdall = await open()
    const { slug } = await createWorkspace(holdall)
    while (remaining(await holdall.graphql(page, { slug, first: 25 })) > 110);
    const refused = await holdall.graphql(page, { slug, first: 36 })
    expect([refused.status, refused.errors?.[0]?.extensions?.code]).toEqual([429, 'RATE_LIMITED'])
    // One point is consumed, as by any request.
    const small = await holdall.graphql(SMALL)
    expect(small.status).toBe(200)
    expect(remaining(refused) - remaining(small)).toBe(2)
  })

  test('each token has its own limit, wherever it is used', async () => {
    const holdall = await open()
    const other = await createToken(holdall)
    await exhaustLimit(holdall)
    expect((await holdall.graphql(SMALL)).status).toBe(429)
    expect((await holdall.graphql(SMALL, {}, { token: other.secret })).status).toBe(200)
    expect((await holdall.graphql(SMALL, {}, { token: null })).status).toBe(200)
  })

  test('upload and download endpoints charge one point per request, and respond 429 with a line of JSON', async () => {
    const holdall = await open()
    const { id: workspaceId } = await createWorkspace(holdall)
    const file = await uploadFile(holdall, { workspaceId, name: 'a.txt', bytes: 'hello' })
    const upload = await createUpload(holdall, { workspaceId, name: 'b.txt', size: 5 })
    const link = await downloadUrl(holdall, file.id)
    const tus = tusOf(holdall)

    const before = remaining(await holdall.http(`/download/${file.id}`))
    expect(remaining(await holdall.http(`/download/${file.id}`))).toBe(before - 1)
    expect(remaining(await tus.patch(upload.url, 0, 'he'))).toBe(before - 2)
    expect(remaining(await tus.head(upload.url))).toBe(before - 2)
    // The address is charged for a link without a token.
    expect(remaining(await holdall.http(link, { token: null }))).toBe(199)
    for (const path of ['/s/none', '/download/archive/none/all.zip', '/files', '/uploads/put/x'])
      expect(rateLimitOf(await holdall.http(path))).toMatchObject({ limit: 200 })

    await exhaustLimit(holdall)
    const refused = [
      await holdall.http(`/download/${file.id}`),
      await tus.patch(upload.url, 2, 'llo'),
      await tus.post({ 'Upload-Length': '1' }),
      await tus.terminate(upload.url),
    ]
    for (const response of refused) {
      expect(response.status).toBe(429)
      expect(Number(response.headers.get('retry-after'))).toBeGreaterThan(0)
      expect(await response.json()).toMatchObject({ code: 'RATE_LIMITED' })
    }
    expect(await (await holdall.http(link, { token: null })).text()).toBe('hello')
  })

  test('HEAD of an upload is never refused, because clients would give the upload up', async () => {
    const holdall = await open()
    const { id: workspaceId } = await createWorkspace(holdall)
    const upload = await createUpload(holdall, { workspaceId, name: 'b.txt', size: 5 })
    await exhaustLimit(holdall)
    const head = await tusOf(holdall).head(upload.url)
    expect([head.status, head.headers.get('upload-offset')]).toEqual([200, '0'])
    expect(rateLimitOf(head)).toMatchObject({ limit: 200, remaining: 0 })
    // A HEAD with X-HTTP-Method-Override: PATCH is charged as a PATCH.
    const patch = { 'X-HTTP-Method-Override': 'PATCH', 'Upload-Offset': '0' }
    expect((await tusOf(holdall).head(upload.url, patch)).status).toBe(429)
  })

  test('monitoring endpoints are free', async () => {
    const holdall = await open({ ...limited, METRICS: 'open' })
    await exhaustLimit(holdall, null)
    for (const path of ['/livez', '/readyz', '/metrics']) {
      const response = await holdall.http(path, { token: null })
      expect([path, response.status]).toEqual([path, 200])
      expect(rateLimitOf(response).limit).toBeNull()
    }
  })

  test('a page of an allowed origin can read the rate limit headers', async () => {
    const origin = 'https://app.example.org'
    const holdall = await open({ ...limited, CORS_ORIGINS: origin })
    const { headers } = await holdall.http('/graphql?query={__typename}', { headers: { origin } })
    const exposed = headers.get('access-control-expose-headers')?.toLowerCase().split(', ')
    expect(exposed).toEqual(
      expect.arrayContaining([
        'ratelimit-limit',
        'ratelimit-remaining',
        'ratelimit-reset',
        'retry-after',
      ]),
    )
  })
})

describe('invalid tokens', () => {
  test('cost their address a hundredth of its limit each, and end in 429', async () => {
    const holdall = await open({ ...limited, RATE_LIMIT: '1000' })
    const first = await holdall.graphql(SMALL, {}, { token: 'hld_wrong' })
    expect([first.status, remaining(first)]).toEqual([401, 1000 - 11])
    const sendWrongToken = async () =>
      (await holdall.http('/download/file_x', { token: 'hld_wrong' })).status
    const statuses: number[] = []
    while (statuses.length < 100 && !statuses.includes(429)) statuses.push(await sendWrongToken())
    expect(statuses.filter((status) => status === 401)).toHaveLength(89)
    expect(statuses.at(-1)).toBe(429)
    const refused = await holdall.graphql(SMALL, {}, { token: 'hld_wrong' })
    expect(refused.errors?.[0]?.extensions?.code).toBe('RATE_LIMITED')
  })

  test('do not block a valid token from the same address', async () => {
    const holdall = await open()
    await exhaustLimit(holdall, null)
    expect((await holdall.graphql(SMALL, {}, { token: 'hld_wrong' })).status).toBe(429)
    expect((await holdall.graphql(SMALL)).status).toBe(200)
  })

  test('cost it at every endpoint that authenticates', async () => {
    const holdall = await open({ ...limited, METRICS_TOKEN: 'a-token-for-prometheus' })
    const { id: workspaceId } = await createWorkspace(holdall)
    const upload = await createUpload(holdall, { workspaceId, name: 'b.txt', size: 5 })
    const wrong = { token: 'hld_wrong' }
    const head = await tusOf(holdall).head(upload.url, {}, 'hld_wrong')
    expect([head.status, remaining(head)]).toEqual([401, 198])
    const metrics = await holdall.http('/metrics', wrong)
    expect([metrics.status, remaining(metrics)]).toEqual([401, 195])
  })
})

describe('addresses', () => {
  const points = async (holdall: TestServer, address: string) =>
    remaining(await asAddress(holdall, address))

  test('S29: are those of the connection, because any client can write X-Forwarded-For', async () => {
    const holdall = await open()
    expect(await points(holdall, '203.0.113.7')).toBe(198)
    expect(await points(holdall, '203.0.113.8')).toBe(196)
  })

  test('behind a trusted proxy are those that the proxy reports', async () => {
    const holdall = await open({ ...limited, TRUST_PROXY: 'true' })
    expect(await points(holdall, '203.0.113.7')).toBe(198)
    expect(await points(holdall, '203.0.113.8')).toBe(198)
    // The client writes the front of the list, the proxy its end; some proxies add the port.
    expect(await points(holdall, '198.51.100.1, 203.0.113.7')).toBe(196)
    expect(await points(holdall, '198.51.100.2, 203.0.113.7:4711')).toBe(194)
    // An invalid entry is treated as the proxy itself.
    expect(await points(holdall, 'unknown')).toBe(198)
    expect(await points(holdall, 'x'.repeat(5000))).toBe(196)
  })

  test('of one IPv6 network count as one', async () => {
    const holdall = await open({ ...limited, TRUST_PROXY: 'true' })
    expect(await points(holdall, '2001:db8:0:1::1')).toBe(198)
    expect(await points(holdall, '2001:db8::1:2:3:4:5')).toBe(196)
    expect(await points(holdall, '[2001:0DB8:0:1:ffff::]:443')).toBe(194)
    expect(await points(holdall, '2001:db8:0:2::1')).toBe(198)
    expect(await points(holdall, '::ffff:203.0.113.9')).toBe(198)
    expect(await points(holdall, '203.0.113.9')).toBe(196)
  })
})

test('without a limit nothing is refused, there are no headers, and limit is 0', async () => {
  const holdall = await open({})
  const answer = await holdall.graphql('{ rateLimit { limit cost remaining } }')
  expect(answer.data.rateLimit).toEqual({ limit: 0, cost: 4, remaining: 0 })
  expect(rateLimitOf(answer)).toEqual({ limit: null, remaining: null, reset: null })
  const statuses = await Promise.all(
    Array.from({ length: 300 }, async () => (await holdall.http('/download/file_x')).status),
  )
  expect(new Set(statuses)).toEqual(new Set([404]))
})
