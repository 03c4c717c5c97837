import { beforeAll, describe, expect, onTestFinished, test } from 'vitest'
import { type Reading, sendRawBody } from '../../support/network/raw-body.ts'
import { startTestServer, type TestServer } from '../../support/servers/test-server.ts'

let holdall: TestServer
beforeAll(async () => {
  holdall = await startTestServer()
  return () => holdall[Symbol.asyncDispose]()
})

/** More than the buffers of both kernels. */
const MIB = 1024 ** 2
const tus = ['Tus-Resumable: 1.0.0', 'Content-Type: application/offset+octet-stream']
const json = ['Content-Type: application/json']
const form = ['Content-Type: multipart/form-data; boundary=x']
const wrong = 'Authorization: Bearer wrong'

/** Requests that are refused before their body is read. */
const refusals: [line: string, lines: string[], status: number][] = [
  ['PATCH /uploads/nope', [...tus, 'Upload-Offset: 0'], 404],
  ['POST /uploads', [...tus, wrong, 'Upload-Length: 50000000'], 401],
  ['PUT /uploads', tus, 405],
  ['POST /graphql', json, 413],
  ['POST /graphql', ['Content-Type: text/plain'], 403],
  ['PUT /graphql', json, 405],
  ['POST /files', [...form, wrong], 401],
  ['PUT /files', form, 405],
  ['PUT /uploads/put/nope', [], 404],
  ['POST /uploads/put/nope', [], 405],
  ['POST /livez', [], 405],
  ['POST /download/nope', [], 405],
  ['POST /nothing', [], 404],
  ['GET /', [], 302],
]

describe.each<Reading>(['first', 'meanwhile'])('a client that writes %s', (reading) => {
  test.each(refusals)('reads the refusal of %s (%s) as %i', async (line, lines, status) => {
    for (let n = 0; n < 2; n++) {
      const answer = await sendRawBody(holdall.url, { line, lines, bytes: 16 * MIB }, reading)
      expect(answer.split(' ', 2)[1]).toBe(String(status))
      expect(answer.toLowerCase()).toContain('\r\nconnection: close\r\n')
    }
  })
})

test('a body without end is cut off after the refusal', async () => {
  const endless = { line: 'POST /nothing', bytes: 2 ** 40 }
  await expect(sendRawBody(holdall.url, endless, 'first')).rejects.toThrow(/ECONNRESET|EPIPE/)
})

describe('headers', () => {
  const origin = 'https://app.example.org'
  const headersOf = (bytes: number) => [`Origin: ${origin}`, `Upload-Concat: ${'x'.repeat(bytes)}`]

  test('of 60,000 bytes are read; larger ones are 431 with JSON that pages can read', async () => {
    const other = await startTestServer({
      env: { CORS_ORIGINS: `http://localhost:5173,${origin}` },
    })
    onTestFinished(() => other[Symbol.asyncDispose]())
    const send = (bytes: number) =>
      sendRawBody(other.url, { line: 'POST /nothing', lines: headersOf(bytes), bytes: 0 }, 'first')
    expect(await send(60_000)).toMatch(/^HTTP\/1\.1 404 /)
    for (const bytes of [70_000, 1_000_000]) {
      const answer = await send(bytes)
      expect(answer).toMatch(/^HTTP\/1\.1 431 /)
      expect(answer).toContain('Access-Control-Allow-Origin: ')
      expect(JSON.parse(answer.split('\r\n\r\n')[1] ?? '')).toMatchObject({
        code: 'HEADERS_TOO_LARGE',
        message: expect.stringContaining('65536'),
      })
    }
  })

  test('that are not HTTP are 400 with JSON', async () => {
    const answer = await sendRawBody(holdall.url, { line: 'P(ST /', bytes: 0 }, 'first')
    expect(answer).toMatch(/^HTTP\/1\.1 400 /)
    expect(JSON.parse(answer.split('\r\n\r\n')[1] ?? '').code).toBe('BAD_REQUEST')
  })
})
