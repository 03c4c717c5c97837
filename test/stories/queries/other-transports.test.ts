import { once } from 'node:events'
import { request } from 'node:http'
import { beforeAll, describe, expect, test } from 'vitest'
import { startTestServer, type TestServer } from '../../support/servers/test-server.ts'

let holdall: TestServer
beforeAll(async () => {
  holdall = await startTestServer()
  return () => holdall[Symbol.asyncDispose]()
})

const sse =
  /subscriptions are Server-Sent Events: send POST \/graphql with Accept: text\/event-stream/

describe('WebSockets', () => {
  /** Sends a handshake as `ws` and browsers do. Returns the response, or `upgrade` if it was accepted. */
  async function handshake(path: string, headers: Record<string, string> = {}) {
    const sent = request(`${holdall.url}${path}`, {
      headers: {
        ...{ connection: 'Upgrade', upgrade: 'websocket', 'sec-websocket-version': '13' },
        ...{ 'sec-websocket-key': 'dGhlIHNhbXBsZSBub25jZQ==' },
        ...{ 'sec-websocket-protocol': 'graphql-transport-ws', ...headers },
      },
    }).end()
    const [response] = await once(sent, 'response')
    let text = ''
    for await (const chunk of response.setEncoding('utf8')) text += chunk
    const { socket } = response
    if (!socket.closed) await once(socket, 'close')
    return { status: response.statusCode, type: response.headers['content-type'], text }
  }

  test.each([
    '/graphql',
    '/graphql/',
    '/',
    '/uploads',
    '/uploads/x',
    '/files',
    '/download/x',
    '/s/x',
    '/livez',
    '/nothing',
  ])('a handshake at %s is refused with a sentence, and the connection is closed', async (path) => {
    for (const upgrade of ['websocket', 'WebSocket', 'h2c, websocket']) {
      const { status, type, text } = await handshake(path, { upgrade })
      expect([status, type]).toEqual([400, 'application/json; charset=utf-8'])
      expect(JSON.parse(text)).toEqual({ code: 'BAD_REQUEST', message: expect.stringMatching(sse) })
    }
  })

  test('other upgrades are ignored, as HTTP permits', async () => {
    const headers = { connection: 'Upgrade, HTTP2-Settings, close', upgrade: 'h2c' }
    const { status, text } = await handshake('/livez', { ...headers, 'http2-settings': 'AAMAAABk' })
    expect([status, text]).toEqual([200, 'ok\n'])
  })
})

describe('subscriptions', () => {
  const query = 'subscription { uploadChanged(uploadId: "upl_0") { __typename } }'
  const subscribe = (accept: string) =>
    holdall.http('/graphql', {
      method: 'POST',
      headers: { accept, 'content-type': 'application/json' },
      body: JSON.stringify({ query }),
    })

  test.each([
    'multipart/mixed;boundary=graphql;subscriptionSpec=1.0,application/graphql-response+json,application/json;q=0.9',
    'multipart/mixed;boundary="-";deferSpec=20220824, application/json',
    'application/graphql-response+json',
    'application/json',
  ])('Accept: %s is answered with a sentence', async (accept) => {
    const response = await subscribe(accept)
    expect(response.status).toBe(406)
    const { errors } = (await response.json()) as { errors: object[] }
    expect(errors).toMatchObject([{ message: expect.stringMatching(sse) }])
  })

  test.each(['text/event-stream', 'text/*', '*/*', 'application/json, text/event-stream;q=0.5'])(
    'Accept: %s gets an event stream',
    async (accept) => {
      const response = await subscribe(accept)
      expect(response.headers.get('content-type')).toMatch(/^text\/event-stream/)
      expect(await response.text()).toContain('event: complete')
    },
  )

  test('a query with the Accept header of Apollo Client is answered with JSON', async () => {
    const accept =
      'multipart/mixed;deferSpec=20220824,application/graphql-response+json,application/json;q=0.9'
    const response = await holdall.http('/graphql', {
      method: 'POST',
      headers: { accept, 'content-type': 'application/json' },
      body: '{"query":"{ __typename }"}',
    })
    expect(await response.json()).toEqual({ data: { __typename: 'Query' } })
  })

  test.each([
    ['PUT', '/graphql', 405],
    ['PUT', '/graphql/stream', 404],
    ['GET', '/graphql/stream', 404],
    ['POST', '/graphql/stream', 404],
    ['DELETE', '/graphql/stream', 404],
  ])('%s %s, the single connection mode of graphql-sse, is %i with a sentence', async (...row) => {
    const [method, path, status] = row
    const headers = { 'x-graphql-event-stream-token': 'x', accept: 'text/event-stream' }
    const response = await holdall.http(path, { method, headers })
    expect(response.status).toBe(status)
    expect((await response.json()).message).toMatch(sse)
  })
})
