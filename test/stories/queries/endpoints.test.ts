import { brotliDecompressSync, gunzipSync } from 'node:zlib'
import { type OperationDefinitionNode, parse, validate } from 'graphql'
import { beforeAll, describe, expect, onTestFinished, test } from 'vitest'
import { steps } from '../../../src/http/graphql/graphiql-examples.ts'
import { schema } from '../../../src/schema.ts'
import { createUpload, createWorkspace, downloadUrl, uploadFile } from '../../support/client.ts'
import { rawRequest } from '../../support/network/tus.ts'
import { startTestServer, type TestServer } from '../../support/servers/test-server.ts'

const METRICS_TOKEN = 'a-token-for-prometheus'
let holdall: TestServer
beforeAll(async () => {
  holdall = await startTestServer({ env: { METRICS_TOKEN } })
  return () => holdall[Symbol.asyncDispose]()
})

const open = (path: string, init: Parameters<TestServer['http']>[1] = {}) =>
  holdall.http(path, { token: null, ...init })
const html = { accept: 'text/html,application/xhtml+xml,*/*;q=0.8' }

describe('monitoring', () => {
  test.each(['/livez', '/readyz'])('%s responds ok, and is never cached', async (path) => {
    for (const method of ['GET', 'HEAD']) {
      const response = await open(path, { method })
      expect(response.status).toBe(200)
      expect(response.headers.get('cache-control')).toBe('no-store')
      expect(await response.text()).toBe(method === 'GET' ? 'ok\n' : '')
    }
  })

  test('/readyz is 503 if the database does not respond, /livez is not', async () => {
    const other = await startTestServer()
    await other.app.db.destroy()
    const statuses = await Promise.all(
      ['/readyz', '/livez'].map(async (p) => (await other.http(p)).status),
    )
    expect(statuses).toEqual([503, 200])
    expect(await (await other.http('/readyz')).text()).toBe('not ready\n')
    await other[Symbol.asyncDispose]().catch(() => {})
  })

  test('S39: /metrics counts seconds and bytes by route, with METRICS_TOKEN', async () => {
    await open('/livez')
    await open('/nothing')
    const response = await holdall.http('/metrics', { token: METRICS_TOKEN })
    expect(response.headers.get('content-type')).toMatch(/^text\/plain; version=0\.0\.4/)
    const text = await response.text()
    const count = (route: string, status: number) =>
      new RegExp(
        `^http_request_duration_seconds_count\\{route="${route}",method="GET",status="${status}"\\} (\\d+)$`,
        'm',
      ).exec(text)?.[1]
    expect(Number(count('livez', 200))).toBeGreaterThan(0)
    expect(Number(count('none', 404))).toBeGreaterThan(0)
    expect(text).toMatch(/^http_sent_bytes_total\{route="livez"\} \d+$/m)
    expect(text).toMatch(/^http_received_bytes_total\{route="livez"\} \d+$/m)
    expect(text).toMatch(/^process_resident_memory_bytes \d+$/m)
    // Neither ids nor paths: each would be a series of its own.
    expect(text).not.toContain('/nothing')
  })

  test.each([
    ['no token', null],
    ['an API token of an owner', undefined],
    ['a part of the token', METRICS_TOKEN.slice(0, -1)],
    ['more than the token', `${METRICS_TOKEN}x`],
  ])('/metrics is 401 for %s', async (_, token) => {
    const response = await holdall.http('/metrics', token === undefined ? {} : { token })
    expect([response.status, response.headers.get('www-authenticate')]).toEqual([401, 'Bearer'])
    expect((await response.json()).code).toBe('UNAUTHENTICATED')
  })

  test('/metrics does not exist by default, even from localhost', async () => {
    const other = await startTestServer()
    onTestFinished(() => other[Symbol.asyncDispose]())
    expect((await other.http('/metrics')).status).toBe(404)
    expect((await other.http('/metrics', { token: null })).status).toBe(404)
  })

  test('METRICS=open serves everyone', async () => {
    const other = await startTestServer({ env: { METRICS: 'open' } })
    onTestFinished(() => other[Symbol.asyncDispose]())
    const headers = { 'x-forwarded-for': '203.0.113.7' }
    expect((await other.http('/metrics', { token: null, headers })).status).toBe(200)
  })
})

describe('paths and methods', () => {
  test('/ redirects to GraphiQL', async () => {
    const response = await open('/')
    expect([response.status, response.headers.get('location')]).toEqual([302, '/graphql'])
  })

  test.each(['/nothing', '/graphql/', '/livez/x', '//x', '/index.html', '/.env', '/src/main.ts'])(
    '%s is 404 with one line of JSON',
    async (path) => {
      const answer = await open(`${holdall.url}${path}`)
      expect(answer.status).toBe(404)
      expect(answer.headers.get('content-type')).toBe('application/json; charset=utf-8')
      const text = await answer.text()
      expect(text).toMatch(/^\{.*\}\n$/)
      expect(JSON.parse(text)).toMatchObject({ code: 'NOT_FOUND' })
    },
  )

  test.each([
    '/livez',
    '/readyz',
    '/metrics',
    '/',
    '/download/x',
    '/s/x',
    '/download/archive/x/y.zip',
  ])('%s allows only GET and HEAD', async (path) => {
    for (const method of ['POST', 'PUT', 'PATCH', 'DELETE']) {
      const response = await open(path, { method })
      expect([method, response.status]).toEqual([method, 405])
      expect(response.headers.get('allow')).toBe('GET, HEAD')
      expect(await response.json()).toMatchObject({ code: 'METHOD_NOT_ALLOWED' })
    }
  })

  test('/uploads allows POST and OPTIONS, an upload HEAD, PATCH, DELETE and OPTIONS', async () => {
    const { id: workspaceId } = await createWorkspace(holdall)
    const upload = await createUpload(holdall, { workspaceId, name: 'a.txt', size: 1 })
    const headers = { 'tus-resumable': '1.0.0' }
    const all = await holdall.http('/uploads', { method: 'PUT', headers })
    expect([all.status, all.headers.get('allow')]).toEqual([405, 'POST, OPTIONS'])
    const one = await holdall.http(upload.url, { method: 'GET', headers })
    expect([one.status, one.headers.get('allow')]).toEqual([405, 'HEAD, PATCH, DELETE, OPTIONS'])
  })

  test('/graphql allows GET and POST', async () => {
    for (const method of ['PUT', 'PATCH', 'DELETE']) {
      const body = JSON.stringify({ query: '{ __typename }' })
      const headers = { 'content-type': 'application/json' }
      const response = await holdall.http('/graphql', { method, headers, body })
      expect([method, response.status]).toEqual([method, 405])
      expect(response.headers.get('allow')).toContain('POST')
    }
  })
})

describe('X-Request-Id', () => {
  const idFor = async (given?: string, path = '/livez') => {
    const headers = given === undefined ? {} : { 'x-request-id': given }
    return (await open(path, { headers })).headers.get('x-request-id')
  }

  test.each(['/livez', '/graphql', '/uploads', '/download/x', '/s/x', '/nothing', '/'])(
    'is returned unchanged: %s',
    async (path) => expect(await idFor('build-7:42.a_b', path)).toBe('build-7:42.a_b'),
  )

  test('is generated if the request has none', async () => {
    const [a, b] = [await idFor(), await idFor()]
    expect(a).toMatch(/^[0-9a-f-]{36}$/)
    expect(b).not.toBe(a)
  })

  test.each(['', 'a b', 'a"b', '{"level":60}', 'é', '<script>', 'x'.repeat(129), 'a, b'])(
    'S35: is replaced if it is unsafe: %s',
    async (given) => {
      expect(await idFor(given)).toMatch(/^[0-9a-f]{8}-[0-9a-f-]{27}$/)
    },
  )

  test('S34: is in the response that reports an internal error', async () => {
    const other = await startTestServer()
    await other.app.db.destroy()
    const response = await other.http('/download/x', { headers: { 'x-request-id': 'mine' } })
    expect(await response.json()).toMatchObject({
      code: 'INTERNAL_SERVER_ERROR',
      requestId: 'mine',
    })
    await other[Symbol.asyncDispose]().catch(() => {})
  })
})

describe('CORS', () => {
  const page = 'https://app.example.org'
  const paths = [
    '/graphql',
    '/uploads',
    '/download/x',
    '/download/archive/x/y',
    '/s/x',
    '/livez',
    '/nothing',
    '/',
  ]
  const preflight = {
    'access-control-request-method': 'POST',
    'access-control-request-headers': 'authorization',
  }

  async function withOrigins() {
    const other = await startTestServer({ env: { CORS_ORIGINS: `${page},http://localhost:5173` } })
    onTestFinished(() => other[Symbol.asyncDispose]())
    return other
  }
  const corsOf = ({ headers }: Response) =>
    [...headers.keys()].filter((name) => name.startsWith('access-control-'))

  test.each(paths)('by default no other origin reads %s', async (path) => {
    for (const method of ['GET', 'OPTIONS']) {
      const response = await open(path, { method, headers: { origin: page, ...preflight } })
      expect(corsOf(response)).toEqual([])
    }
  })

  test('an allowed origin reads every endpoint and its headers, never with credentials', async () => {
    const other = await withOrigins()
    for (const path of paths) {
      const response = await other.http(path, { headers: { origin: page } })
      const header = (name: string) => response.headers.get(name)
      expect([path, header('access-control-allow-origin')]).toEqual([path, page])
      expect(header('vary')).toContain('Origin')
      const exposed = header('access-control-expose-headers')?.split(', ')
      expect(exposed).toEqual(
        expect.arrayContaining([
          'Location',
          'Upload-Offset',
          'Upload-Expires',
          'Tus-Resumable',
          'ETag',
          'X-Request-Id',
          'Retry-After',
        ]),
      )
      expect(header('access-control-allow-credentials')).toBeNull()
    }
  })

  test('a preflight is answered without a token', async () => {
    const other = await withOrigins()
    for (const path of paths) {
      const headers = { origin: 'http://localhost:5173', ...preflight }
      const response = await other.http(path, { method: 'OPTIONS', token: null, headers })
      expect([path, response.status]).toEqual([path, path === '/uploads' ? 200 : 204])
      expect(response.headers.get('access-control-allow-origin')).toBe('http://localhost:5173')
      expect(response.headers.get('access-control-allow-methods')).toContain('PATCH')
      for (const name of [
        'Authorization',
        'Content-Type',
        'Upload-Offset',
        'Upload-Checksum',
        'Tus-Resumable',
      ])
        expect(response.headers.get('access-control-allow-headers')).toContain(name)
    }
  })

  test('a preflight allows the headers that it requests, but only names of headers', async () => {
    const other = await withOrigins()
    const allowed = async (requested: string, origin = page) => {
      const headers = {
        origin,
        'access-control-request-method': 'POST',
        'access-control-request-headers': requested,
      }
      const response = await other.http('/files', { method: 'OPTIONS', token: null, headers })
      expect(response.status).toBe(204)
      return response.headers.get('access-control-allow-headers')?.split(', ')
    }
    const traced = ['cache-control', 'x-requested-with', 'traceparent', 'baggage']
    const names = await allowed(`authorization,${traced.join(',')}, X-Trace ,traceparent`)
    expect(names?.slice(-5)).toEqual([...traced, 'x-trace'])
    const fixed = names?.slice(0, -5)
    expect(await allowed('*, x y, x:y, "x", <x>, é,,')).toEqual(fixed)
    expect(await allowed(`${'x'.repeat(5000)}, y`)).toEqual(fixed)
    expect(await allowed('traceparent', 'https://evil.example')).toBeUndefined()
  })

  test('an image shows on pages of allowed origins, and of no others', async () => {
    const other = await withOrigins()
    const { id: workspaceId } = await createWorkspace(other)
    const file = await uploadFile(other, { workspaceId, name: 'dot.png', bytes: 'png' })
    const link = await downloadUrl(other, file.id, '(disposition: INLINE)')
    const policyFor = async (headers: Record<string, string>) =>
      (await other.http(link, { token: null, headers })).headers.get('cross-origin-resource-policy')
    for (const referer of [page, `${page}/`, `${page}/album?page=2`, 'http://localhost:5173/'])
      expect([referer, await policyFor({ referer })]).toEqual([referer, 'cross-origin'])
    const strangers = [
      'https://evil.example/',
      `https://evil.example/${page}/`,
      `${page}.evil.example/`,
      `${page}:8443/`,
      `${page}@evil.example/`,
      'http://app.example.org/',
    ]
    for (const referer of strangers)
      expect([referer, await policyFor({ referer })]).toEqual([referer, 'same-site'])
    expect(await policyFor({})).toBe('same-site')
    expect(await policyFor({ origin: page })).toBe('cross-origin')
  })

  test('any other origin gets no CORS headers, and Vary names Origin', async () => {
    const other = await withOrigins()
    const strangers = [
      'https://evil.example',
      'null',
      `${page}.evil.example`,
      'http://app.example.org',
      `${page}:8443`,
    ]
    for (const origin of strangers)
      for (const path of paths)
        for (const method of ['GET', 'OPTIONS']) {
          const response = await other.http(path, { method, headers: { origin, ...preflight } })
          expect([origin, path, corsOf(response)]).toEqual([origin, path, []])
          expect(response.headers.get('vary')).toContain('Origin')
        }
  })

  test('endpoints keep the headers that they set themselves: a query’s, a download’s', async () => {
    const other = await withOrigins()
    const { id: workspaceId } = await createWorkspace(other)
    const file = await uploadFile(other, { workspaceId, name: 'a.txt', bytes: 'hello' })
    const headers = { origin: page }
    const bytes = await other.http(await downloadUrl(other, file.id), { token: null, headers })
    expect([await bytes.text(), bytes.headers.get('access-control-allow-origin')]).toEqual([
      'hello',
      page,
    ])
    const query = JSON.stringify({ query: '{ __typename }' })
    const requested = {
      method: 'POST',
      body: query,
      headers: { ...headers, 'content-type': 'application/json' },
    }
    const answer = await other.http('/graphql', requested)
    expect([await answer.json(), answer.headers.get('access-control-allow-origin')]).toEqual([
      { data: { __typename: 'Query' } },
      page,
    ])
  })
})

describe('GraphiQL', () => {
  const page = (headers: Record<string, string> = {}) =>
    open('/graphql', { headers: { ...html, 'accept-encoding': 'identity', ...headers } })

  test('is served to browsers at /graphql, without a token', async () => {
    const response = await page()
    expect(response.status).toBe(200)
    expect(response.headers.get('content-type')).toBe('text/html; charset=utf-8')
    const text = await response.text()
    expect(Buffer.byteLength(text)).toBe(Number(response.headers.get('content-length')))
    expect(text).toContain('<title>Holdall</title>')
    // Clients that accept JSON get JSON.
    const json = await holdall.http('/graphql?query={__typename}')
    expect(json.headers.get('content-type')).toContain('json')
  })

  test('works offline: the page loads nothing from elsewhere', async () => {
    const response = await page()
    const text = await response.text()
    const markup = text.replace(/<(script|style)\b([^>]*)>[\s\S]*?<\/\1>/g, '<$1$2>')
    const wanted = [...markup.matchAll(/<[^>]*\b(?:src|href)\s*=\s*["']?([^"'\s>]+)/g)].map(
      ([, to]) => to,
    )
    expect(wanted.filter((to = '') => !/^(data|blob):/.test(to))).toEqual([])
    expect(text).not.toMatch(/@import\s+(url\()?["']?https?:/)
    // And the policy would block a script that tried.
    const policy = response.headers.get('content-security-policy') ?? ''
    expect(policy).toContain("default-src 'none'")
    expect(policy).toContain("connect-src 'self'")
    expect(policy).not.toMatch(/https?:|\*/)
  })

  test('is revalidated with 304 by its ETag', async () => {
    const first = await page()
    const etag = first.headers.get('etag') ?? ''
    await first.arrayBuffer()
    for (const encoding of ['br', 'gzip', 'identity']) {
      const again = await page({ 'if-none-match': etag, 'accept-encoding': encoding })
      expect([again.status, (await again.arrayBuffer()).byteLength]).toEqual([304, 0])
      expect(again.headers.get('etag')).toBe(etag)
    }
    expect((await page({ 'if-none-match': '"other"' })).status).toBe(200)
  })

  test.each([
    ['br', brotliDecompressSync],
    ['gzip', gunzipSync],
  ] as const)('is compressed for clients that accept %s', async (encoding, unpack) => {
    const raw = await rawRequest(holdall, 'GET', '/graphql', {
      Accept: 'text/html',
      'Accept-Encoding': encoding,
      Connection: 'close',
      Authorization: '',
      'Tus-Resumable': '',
    })
    await new Promise((resolve) => raw.socket.once('close', resolve))
    const [head = '', ...rest] = raw.received.split('\r\n\r\n')
    expect(head).toMatch(new RegExp(`^content-encoding: ${encoding}$`, 'im'))
    expect(head).toMatch(/^vary:.*accept-encoding/im)
    const packed = Buffer.from(rest.join('\r\n\r\n'), 'latin1')
    expect(packed.length).toBe(Number(/^content-length: (\d+)$/im.exec(head)?.[1]))
    const text = unpack(packed).toString()
    expect(text).toBe(await (await page()).text())
    expect(packed.length).toBeLessThan(text.length / 3)
  })

  test('HEAD returns the headers of GET without a body', async () => {
    const response = await open('/graphql', {
      method: 'HEAD',
      headers: { ...html, 'accept-encoding': 'identity' },
    })
    expect(response.status).toBe(200)
    expect(Number(response.headers.get('content-length'))).toBeGreaterThan(1_000_000)
    expect((await response.arrayBuffer()).byteLength).toBe(0)
  })

  test('its tabs contain valid operations for the main tasks', async () => {
    const text = await (await page()).text()
    for (const { query, variables = {} } of steps) {
      const document = parse(query)
      expect(validate(schema, document).map(({ message }) => message)).toEqual([])
      const [operation] = document.definitions as OperationDefinitionNode[]
      const wanted = operation?.variableDefinitions ?? []
      const names = wanted.map(({ variable }) => variable.name.value)
      expect(Object.keys(variables).sort()).toEqual(names.sort())
    }
    const all = steps.map(({ query }) => query).join('\n')
    const job = [
      ...['createWorkspace(', 'createUpload(', 'curl ', 'confirmUpload(', 'entries('],
      ...['trashEntries(', 'restoreEntries('],
    ]
    const places = job.map((step) => all.indexOf(step))
    expect(places).toEqual(places.toSorted((a, b) => a - b))
    expect(places).not.toContain(-1)
    expect(job.filter((step) => !text.includes(step))).toEqual([])
    expect(text).toContain('Authorization')
  })
})
