import { once } from 'node:events'
import { expect, test } from 'vitest'
import { createUpload } from '../../support/client.ts'
import { OFFSET_TYPE, openTus, rawPatch, serveUploads } from '../../support/network/tus.ts'

// tus 1.0.0, "Core Protocol": the title of each test is the sentence that it checks.

async function openUpload(size = 11) {
  const open = await openTus()
  const { url } = await createUpload(open.holdall, {
    workspaceId: open.workspaceId,
    name: 'a.txt',
    size,
  })
  return { ...open, url }
}

test('S27: Upload-Offset: the value MUST be a non-negative integer', async () => {
  await using tus = await openUpload()
  for (const offset of ['-1', '1.5', 'zero', '0x0', '1e1', '', '9'.repeat(400)]) {
    const response = await tus.patch(tus.url, 0, 'hello', { 'Upload-Offset': offset })
    expect([offset, response.status]).toEqual([offset, 400])
  }
  expect(await tus.offset(tus.url)).toBe(0)
})

test('S27: Upload-Length: the value MUST be a non-negative integer', async () => {
  await using tus = await openTus()
  for (const length of ['-1', '1.5', 'many', '5, 5']) {
    const response = await tus.post({ 'Upload-Length': length })
    expect([length, response.status]).toEqual([length, 400])
  }
})

test('Tus-Version MUST be a comma-separated list of protocol versions supported by the server', async () => {
  await using tus = await openTus()
  expect((await tus.options()).headers.get('tus-version')).toBe('1.0.0')
})

test('Tus-Resumable MUST be included in every request and response except for OPTIONS requests', async () => {
  await using tus = await openUpload()
  const answers = [
    await tus.head(tus.url),
    await tus.patch(tus.url, 0, 'hello'),
    await tus.patch(tus.url, 3, 'conflict'),
    await tus.patch(tus.url, 5, 'x', { 'Content-Type': 'text/plain' }),
    await tus.head(`${tus.url}x`),
    await tus.head(tus.url, {}, null),
    await tus.post({}),
    await tus.terminate(tus.url),
    await tus.head(tus.url),
    await tus.holdall.http(tus.url),
  ]
  expect(answers.map(({ status }) => status)).toEqual([
    200, 204, 409, 415, 404, 401, 400, 204, 410, 410,
  ])
  for (const { headers } of answers) expect(headers.get('tus-resumable')).toBe('1.0.0')
})

test('if the version is not supported, the server MUST respond with 412 and MUST include Tus-Version; it MUST NOT process the request', async () => {
  await using tus = await openUpload()
  for (const version of ['0.2.2', '']) {
    const response = await tus.patch(tus.url, 0, 'hello world', { 'Tus-Resumable': version })
    expect(response.status).toBe(412)
    expect(response.headers.get('tus-version')).toBe('1.0.0')
    expect(await response.json()).toMatchObject({ code: 'PRECONDITION_FAILED' })
    expect(await tus.offset(tus.url)).toBe(0)
  }
})

test('Tus-Extension MUST be a comma-separated list of the extensions supported by the server', async () => {
  await using tus = await openTus()
  expect((await tus.options()).headers.get('tus-extension')).toBe(
    'creation,creation-with-upload,creation-defer-length,termination,expiration,checksum,concatenation,concatenation-unfinished',
  )
})

test('Tus-Max-Size MUST be a non-negative integer; the server SHOULD set it if there is a known hard limit', async () => {
  await using tus = await openTus({ env: { MAX_UPLOAD_BYTES: '1000' } })
  expect((await tus.options()).headers.get('tus-max-size')).toBe('1000')
})

test('S27: X-HTTP-Method-Override MUST be interpreted as the request’s method; the actual method MUST be ignored', async () => {
  await using tus = await openUpload()
  const as = (method: string, headers: Record<string, string> = {}, body?: string) =>
    tus.holdall.http(tus.url, {
      method: 'POST',
      headers: { 'Tus-Resumable': '1.0.0', 'X-HTTP-Method-Override': method, ...headers },
      ...(body && { body }),
    })
  const patched = await as('PATCH', { 'Content-Type': OFFSET_TYPE, 'Upload-Offset': '0' }, 'hello')
  expect([patched.status, patched.headers.get('upload-offset')]).toEqual([204, '5'])
  const head = await as('HEAD')
  expect([head.status, head.headers.get('upload-offset')]).toEqual([200, '5'])
  expect((await as('DELETE')).status).toBe(204)
  expect((await as('HEAD')).status).toBe(410)
  expect((await as('BREW')).status).toBe(405)
})

test('HEAD: the server MUST always include Upload-Offset, even if it is 0, or the upload is already completed', async () => {
  await using tus = await openUpload()
  expect((await tus.head(tus.url)).headers.get('upload-offset')).toBe('0')
  await tus.patch(tus.url, 0, 'hello world')
  expect((await tus.head(tus.url)).headers.get('upload-offset')).toBe('11')
})

test('HEAD: if the size of the upload is known, the server MUST include Upload-Length', async () => {
  await using tus = await openUpload()
  const { status, headers } = await tus.head(tus.url)
  expect((await tus.head(tus.url, { 'Upload-Length': '11' })).headers.get('upload-length')).toBe(
    '11',
  )
  expect([status, headers.get('upload-length'), headers.get('upload-defer-length')]).toEqual([
    200,
    '11',
    null,
  ])
})

test('HEAD: if the resource is not found, the server SHOULD return 404, 410 or 403 without Upload-Offset', async () => {
  await using tus = await openUpload()
  const other = tus.url.replace(/.(?=\.k\w{8}\.[\w-]{22}$)/, (digit) => (digit === '0' ? '1' : '0'))
  const missing = await tus.head(other)
  expect([missing.status, missing.headers.get('upload-offset')]).toEqual([404, null])
  await tus.terminate(tus.url)
  const gone = await tus.head(tus.url)
  expect([gone.status, gone.headers.get('upload-offset')]).toEqual([410, null])
})

test('HEAD: the server MUST prevent caching by adding Cache-Control: no-store', async () => {
  await using tus = await openUpload()
  expect((await tus.head(tus.url)).headers.get('cache-control')).toBe('no-store')
})

test('PATCH: the server SHOULD accept PATCH requests against any upload URL and apply the bytes at the given offset', async () => {
  await using tus = await openUpload()
  expect((await tus.patch(tus.url, 0, 'hello ')).status).toBe(204)
  expect((await tus.patch(tus.url, 6, 'world')).status).toBe(204)
  expect(await tus.offset(tus.url)).toBe(11)
})

test('PATCH MUST use Content-Type: application/offset+octet-stream, otherwise the server SHOULD return 415', async () => {
  await using tus = await openUpload()
  for (const type of ['application/octet-stream', 'text/plain']) {
    const response = await tus.patch(tus.url, 0, 'hello', { 'Content-Type': type })
    expect(response.status).toBe(415)
    expect(await response.json()).toMatchObject({ code: 'UNSUPPORTED_MEDIA_TYPE' })
  }
  const raw = await rawPatch(tus.holdall, tus.url, 0, 5, { 'Content-Type': '' })
  await raw.write('hello')
  expect((await raw.answer()).status).toBe(415)
  expect(await tus.offset(tus.url)).toBe(0)
  // Media types ignore case, and may have parameters (RFC 9110 §8.3.1).
  const loud = await tus.patch(tus.url, 0, 'hello', {
    'Content-Type': 'Application/Offset+Octet-Stream; v=1',
  })
  expect(loud.status).toBe(204)
})

test('F9: PATCH: if the offsets do not match, the server MUST respond with 409 without modifying the upload resource', async () => {
  await using tus = await openUpload()
  await tus.patch(tus.url, 0, 'hello')
  for (const offset of [0, 4, 6, 11]) {
    const response = await tus.patch(tus.url, offset, 'jello')
    expect(response.status).toBe(409)
    expect(response.headers.get('upload-offset')).toBe('5')
    expect(await response.json()).toMatchObject({
      code: 'OFFSET_MISMATCH',
      message: 'Upload-Offset does not match the offset of the upload: 5 bytes',
    })
  }
  expect(await tus.offset(tus.url)).toBe(5)
})

test('PATCH: the server MUST acknowledge success with 204 and MUST include Upload-Offset, the sum of the offset before and the bytes received', async () => {
  await using tus = await openUpload()
  const first = await tus.patch(tus.url, 0, 'hello ')
  expect([first.status, first.headers.get('upload-offset'), await first.text()]).toEqual([
    204,
    '6',
    '',
  ])
  const second = await tus.patch(tus.url, 6, 'world')
  expect([second.status, second.headers.get('upload-offset')]).toEqual([204, '11'])
})

test('PATCH against a non-existent resource SHOULD be 404', async () => {
  await using tus = await openTus()
  for (const key of [
    'x',
    'upl_0',
    `${'0'.repeat(32)}.${'A'.repeat(22)}`,
    '..%2f..%2fetc%2fpasswd',
    '%00',
    'constructor',
  ]) {
    const response = await tus.patch(`/uploads/${key}`, 0, 'hello')
    expect([key, response.status]).toEqual([key, 404])
  }
})

test('F9: the server SHOULD always attempt to store as much of the received data as possible', async () => {
  await using tus = await openUpload()
  const raw = await rawPatch(tus.holdall, tus.url, 0, 11)
  await raw.write('hello')
  await new Promise((resolve) => setTimeout(resolve, 50))
  raw.socket.destroy()
  expect(await tus.offset(tus.url)).toBe(5)
})

test('S25: a timeout SHOULD be handled by closing the underlying connection', async () => {
  await using tus = await openUpload()
  await using endpoint = await serveUploads(tus.holdall, { idleMs: 100 })
  const raw = await rawPatch(tus.holdall, `${endpoint.url}${new URL(tus.url).pathname}`, 0, 11)
  await raw.write('hello')
  const { status, headers } = await raw.answer()
  expect([status, headers.get('upload-offset'), headers.get('retry-after')]).toEqual([
    423,
    '5',
    '1',
  ])
  await once(raw.socket, 'close')
  expect(await tus.offset(tus.url)).toBe(5)
})

test('OPTIONS MUST contain Tus-Version; a success is 204 or 200', async () => {
  await using tus = await openUpload()
  for (const path of ['/uploads', '/uploads/', tus.url]) {
    const { status, headers } = await tus.options(path)
    expect([status, headers.get('tus-version')]).toEqual([200, '1.0.0'])
  }
})

test('OPTIONS: the server MUST ignore Tus-Resumable', async () => {
  await using tus = await openTus()
  expect((await tus.options('/uploads', { 'Tus-Resumable': '0.0.1' })).status).toBe(200)
})

test('an empty PATCH at the current offset succeeds, and changes nothing', async () => {
  await using tus = await openUpload()
  expect((await tus.patch(tus.url, 0, '')).headers.get('upload-offset')).toBe('0')
  await tus.patch(tus.url, 0, 'hello world')
  const again = await tus.patch(tus.url, 11, '')
  expect([again.status, again.headers.get('upload-offset')]).toEqual([204, '11'])
})

test('S27: no byte beyond the length is accepted, however the body declares its own length', async () => {
  await using tus = await openUpload()
  const declared = await tus.patch(tus.url, 0, 'hello world!')
  expect([declared.status, (await declared.json()) as object]).toMatchObject([
    413,
    { code: 'FILE_TOO_LARGE' },
  ])
  const chunked = await rawPatch(tus.holdall, tus.url, 0, 0, {
    'Content-Length': '',
    'Transfer-Encoding': 'chunked',
  })
  await chunked.write('c\r\nhello world!\r\n0\r\n\r\n')
  expect((await chunked.answer()).status).toBe(413)
  expect(await tus.offset(tus.url)).toBe(0)
  await tus.patch(tus.url, 0, 'hello world')
  expect((await tus.patch(tus.url, 11, '!')).status).toBe(413)
  expect(await tus.offset(tus.url)).toBe(11)
})

test('a chunked body is read to its end', async () => {
  await using tus = await openUpload()
  const raw = await rawPatch(tus.holdall, tus.url, 0, 0, {
    'Content-Length': '',
    'Transfer-Encoding': 'chunked',
  })
  await raw.write('6\r\nhello \r\n5\r\nworld\r\n0\r\n\r\n')
  const { status, headers } = await raw.answer()
  expect([status, headers.get('upload-offset')]).toEqual([204, '11'])
})

test('GET and other methods are 405 with Allow', async () => {
  await using tus = await openUpload()
  const get = await tus.holdall.http(tus.url, { headers: { 'Tus-Resumable': '1.0.0' } })
  expect([get.status, get.headers.get('allow')]).toEqual([405, 'HEAD, PATCH, DELETE, OPTIONS'])
  const put = await tus.holdall.http('/uploads', {
    method: 'PUT',
    headers: { 'Tus-Resumable': '1.0.0' },
  })
  expect([put.status, put.headers.get('allow')]).toEqual([405, 'POST, OPTIONS'])
})

test('query strings and headers of proxies change nothing', async () => {
  await using tus = await openUpload()
  const response = await tus.patch(`${tus.url}?utm=x`, 0, 'hello', {
    'X-Forwarded-Proto': 'https,http',
  })
  expect(response.status).toBe(204)
})
