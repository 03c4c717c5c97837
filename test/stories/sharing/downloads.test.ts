import { createHash, randomBytes } from 'node:crypto'
import { get, type IncomingMessage } from 'node:http'
import { beforeEach, describe, expect, onTestFinished, test } from 'vitest'
import { createWorkspace, downloadUrl, type FileHandle, uploadFile } from '../../support/client.ts'
import { startTestServer, type TestServer } from '../../support/servers/test-server.ts'

const bytes = randomBytes(3_000_000)
let holdall: TestServer
let workspaceId: string
let file: FileHandle
/** Uploads `bytes` and returns a signed link. */
let link: string

beforeEach(async () => {
  holdall = await startTestServer()
  onTestFinished(() => holdall[Symbol.asyncDispose]())
  workspaceId = (await createWorkspace(holdall)).id
  file = await uploadFile(holdall, { workspaceId, name: 'plate1.dat', bytes })
  link = await downloadUrl(holdall, file.id)
})

/** Requests the link without a token. */
const fetchLink = (headers: Record<string, string> = {}, init: RequestInit = {}) =>
  holdall.http(link, { ...init, token: null, headers })

const bodyOf = async (response: Response) => Buffer.from(await response.arrayBuffer())
const sha256 = (data: Buffer) => createHash('sha256').update(data).digest('hex')

/** Headers that describe the file, not the request or the connection. */
function representationHeaders({ headers }: Response) {
  const passing = ['date', 'connection', 'keep-alive', 'x-request-id']
  return Object.fromEntries([...headers].filter(([name]) => !passing.includes(name)))
}

test('a link returns the uploaded bytes, with their type and name', async () => {
  const response = await fetchLink()
  expect(response.status).toBe(200)
  expect(sha256(await bodyOf(response))).toBe(file.sha256)
  expect(representationHeaders(response)).toMatchObject({
    'content-length': '3000000',
    'content-type': 'application/octet-stream',
    'content-disposition': 'attachment; filename=plate1.dat',
    'accept-ranges': 'bytes',
    etag: `"${file.sha256}"`,
    'last-modified': expect.stringMatching(/GMT$/),
    'cache-control': expect.stringMatching(/^private, max-age=3\d{3}, immutable$/),
    'x-content-type-options': 'nosniff',
    'content-security-policy': "sandbox; default-src 'none'",
    'referrer-policy': 'no-referrer',
  })
})

test('HEAD returns the headers of GET without the bytes, and ignores ranges', async () => {
  const [head, whole] = [
    await fetchLink({ range: 'bytes=0-9' }, { method: 'HEAD' }),
    await fetchLink(),
  ]
  await whole.arrayBuffer()
  expect(head.status).toBe(200)
  expect(representationHeaders(head)).toEqual(representationHeaders(whole))
  expect(await head.text()).toBe('')
})

test('an empty file is downloaded with length 0', async () => {
  const empty = await uploadFile(holdall, { workspaceId, name: 'empty.dat', bytes: '' })
  link = await downloadUrl(holdall, empty.id)
  const responses = [await fetchLink(), await fetchLink({ range: 'bytes=0-' })]
  for (const response of responses) {
    expect([response.status, response.headers.get('content-length')]).toEqual([200, '0'])
    expect(await response.text()).toBe('')
  }
})

describe('ranges', () => {
  test.each([
    ['bytes=0-0', 0, 1],
    ['bytes=1000000-1999999', 1_000_000, 2_000_000],
    ['bytes=2999999-', 2_999_999, 3_000_000],
    ['bytes=-10', 2_999_990, 3_000_000],
    ['bytes=-9999999', 0, 3_000_000],
    ['bytes=5-1,0-1', null, null],
    ['lines=1-2', null, null],
  ])('%s', async (range, start, end) => {
    const response = await fetchLink({ range })
    const [status, from, to] = start === null ? [200, 0, bytes.length] : [206, start, end]
    const contentRange = start === null ? null : `bytes ${start}-${end - 1}/3000000`
    expect(response.status).toBe(status)
    expect(response.headers.get('content-range')).toBe(contentRange)
    expect(sha256(await bodyOf(response))).toBe(sha256(bytes.subarray(from, to)))
  })

  test('several ranges are sent as parts, in the requested order', async () => {
    const response = await fetchLink({ range: 'bytes=1000000-1999999,0-9,-1' })
    const [, boundary] = /^multipart\/byteranges; boundary=(\w+)$/.exec(
      response.headers.get('content-type') ?? '',
    ) ?? ['', '']
    const part = (start: number, end: number) => [
      `--${boundary}\r\nContent-Type: application/octet-stream\r\nContent-Range: bytes ${start}-${end}/3000000\r\n\r\n`,
      bytes.subarray(start, end + 1),
      '\r\n',
    ]
    const parts = [part(1_000_000, 1_999_999), part(0, 9), part(2_999_999, 2_999_999)].flat()
    const body = await bodyOf(response)
    expect(response.status).toBe(206)
    expect(response.headers.get('content-length')).toBe(String(body.length))
    const expected = Buffer.concat(
      [...parts, `--${boundary}--\r\n`].map((some) => Buffer.from(some)),
    )
    expect(body.equals(expected)).toBe(true)
  })

  test('too many ranges are answered with the whole file', async () => {
    const range = `bytes=${Array.from({ length: 17 }, (_, i) => `${i * 10}-${i * 10}`)}`
    const response = await fetchLink({ range })
    expect(response.status).toBe(200)
    expect(await bodyOf(response)).toHaveLength(3_000_000)
  })

  test('a range after the end is 416', async () => {
    const response = await fetchLink({ range: 'bytes=3000000-' })
    expect(response.status).toBe(416)
    expect(response.headers.get('content-range')).toBe('bytes */3000000')
    expect(await response.json()).toMatchObject({ code: 'RANGE_NOT_SATISFIABLE' })
  })

  test('an interrupted download resumes where it stopped', async () => {
    const first = await readThenDisconnect(1_000_000)
    const range = `bytes=${first.length}-`
    const rest = await fetchLink({ range, 'if-range': `"${file.sha256}"` })
    expect(rest.status).toBe(206)
    expect(sha256(Buffer.concat([first, await bodyOf(rest)]))).toBe(file.sha256)
  })
})

describe('conditions', () => {
  test('If-None-Match of the current bytes is 304', async () => {
    const { etag = '', 'last-modified': since = '' } = representationHeaders(
      await fetchLink({}, { method: 'HEAD' }),
    )
    const responses = [
      await fetchLink({ 'if-none-match': etag }),
      await fetchLink({ 'if-none-match': `"other", W/${etag}`, range: 'bytes=0-1' }),
      await fetchLink({ 'if-modified-since': since }, { method: 'HEAD' }),
    ]
    for (const response of responses) {
      expect(response.status).toBe(304)
      expect(response.headers.get('etag')).toBe(etag)
      expect(await response.text()).toBe('')
    }
  })

  test('If-Match of other bytes is 412', async () => {
    const past = 'Sat, 01 Jan 2000 00:00:00 GMT'
    for (const headers of [{ 'if-match': '"other"' }, { 'if-unmodified-since': past }]) {
      const response = await fetchLink(headers)
      expect(response.status).toBe(412)
      expect(await response.json()).toMatchObject({ code: 'PRECONDITION_FAILED' })
    }
    const same = await fetchLink({ 'if-match': `"${file.sha256}"` }, { method: 'HEAD' })
    expect(same.status).toBe(200)
  })

  test('If-Range of an old version gets the whole new file', async () => {
    const holding = { range: 'bytes=1000000-', 'if-range': `"${file.sha256}"` }
    const same = await holdall.http(`/download/${file.id}`, { headers: holding })
    expect([same.status, (await bodyOf(same)).length]).toEqual([206, 2_000_000])

    const next = await uploadFile(holdall, {
      workspaceId,
      name: 'new.dat',
      versionOf: file.id,
      bytes: 'other',
    })
    const changed = await holdall.http(`/download/${file.id}`, { headers: holding })
    expect([changed.status, await changed.text()]).toEqual([200, 'other'])
    expect(changed.headers.get('etag')).toBe(`"${next.sha256}"`)

    const bound = await fetchLink(holding)
    expect(bound.status).toBe(206)
    expect(await bodyOf(bound)).toEqual(bytes.subarray(1_000_000))
  })
})

/** Reads about `length` bytes of the link, then disconnects. */
function readThenDisconnect(length: number): Promise<Buffer> {
  const { promise, resolve, reject } = Promise.withResolvers<Buffer>()
  const request = get(link, async (response: IncomingMessage) => {
    const chunks: Buffer[] = []
    for await (const chunk of response) {
      chunks.push(chunk)
      if (Buffer.concat(chunks).length >= length) break
    }
    resolve(Buffer.concat(chunks))
  })
  request.on('error', reject)
  return promise
}
