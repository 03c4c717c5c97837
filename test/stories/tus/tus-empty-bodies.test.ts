import { expect, test } from 'vitest'
import { createUpload, entryByPath } from '../../support/client.ts'
import {
  metadata,
  OFFSET_TYPE,
  openTus,
  rawRequest,
  serveUploads,
} from '../../support/network/tus.ts'

// A body counts by its bytes: a chunked body without bytes is no body.

type Tus = Awaited<ReturnType<typeof openTus>>
type Headers = Record<string, string>

async function chunked(
  { holdall }: Tus,
  [method, url]: [string, string],
  headers: Headers,
  body = '',
) {
  const raw = await rawRequest(holdall, method, url, { 'Transfer-Encoding': 'chunked', ...headers })
  await raw.write(body === '' ? '0\r\n\r\n' : body)
  const answer = await raw.answer()
  raw.socket.destroy()
  return { ...answer, body: raw.received.split('\r\n\r\n')[1] ?? '' }
}

const declared = ({ workspaceId }: Tus, filename: string, more: Headers = {}) => ({
  'Upload-Metadata': metadata({ workspaceId, filename, ...more }),
})

test('an empty chunked POST creates an empty file', async () => {
  await using tus = await openTus()
  const { status, headers } = await chunked(tus, ['POST', '/uploads'], {
    'Upload-Length': '0',
    'Content-Type': OFFSET_TYPE,
    ...declared(tus, 'empty', { confirm: 'auto' }),
  })
  expect([status, headers.get('holdall-upload-status')]).toEqual([201, 'COMPLETE'])
  expect(await entryByPath(tus.holdall, tus.workspaceId, 'empty')).toMatchObject({ name: 'empty' })
})

test('an empty chunked POST needs no content type, and uploads nothing', async () => {
  await using tus = await openTus()
  const { status, headers } = await chunked(tus, ['POST', '/uploads'], {
    'Upload-Length': '9',
    ...declared(tus, 'later'),
  })
  expect([status, headers.get('upload-offset')]).toEqual([201, undefined])
})

test('a chunked POST with bytes needs the content type', async () => {
  await using tus = await openTus()
  const headers = { 'Upload-Length': '5', ...declared(tus, 'a') }
  const post = (more: Headers) =>
    chunked(tus, ['POST', '/uploads'], { ...headers, ...more }, '5\r\nhello\r\n0\r\n\r\n')
  expect((await post({ 'Content-Type': 'text/plain' })).status).toBe(415)
  const whole = await post({ 'Content-Type': OFFSET_TYPE })
  expect([whole.status, whole.headers.get('upload-offset')]).toEqual([201, '5'])
})

test.each([0, 5])('an empty chunked PATCH at the end of %d bytes is 204', async (size) => {
  await using tus = await openTus()
  const { url } = await createUpload(tus.holdall, { workspaceId: tus.workspaceId, name: 'a', size })
  if (size > 0) await tus.patch(url, 0, 'hello')
  const headers = { 'Upload-Offset': String(size), 'Content-Type': OFFSET_TYPE }
  expect((await chunked(tus, ['PATCH', url], headers)).status).toBe(204)
})

test('a chunked body whose first byte is late is received whole', async () => {
  await using tus = await openTus()
  const { url } = await createUpload(tus.holdall, {
    workspaceId: tus.workspaceId,
    name: 'a',
    size: 5,
  })
  const raw = await rawRequest(tus.holdall, 'PATCH', url, {
    'Transfer-Encoding': 'chunked',
    'Upload-Offset': '0',
    'Content-Type': OFFSET_TYPE,
  })
  await new Promise((resolve) => setTimeout(resolve, 100))
  for (const chunk of ['2\r\nhe\r\n', '3\r\nllo\r\n', '0\r\n\r\n']) await raw.write(chunk)
  const { status, headers } = await raw.answer()
  expect([status, headers.get('upload-offset')]).toEqual([204, '5'])
  raw.socket.destroy()
})

test('a chunked body that never begins is given up, and one that breaks off is no error of the server', async () => {
  await using tus = await openTus()
  await using endpoint = await serveUploads(tus.holdall, { idleMs: 200 })
  const { url } = await createUpload(tus.holdall, {
    workspaceId: tus.workspaceId,
    name: 'a',
    size: 5,
  })
  const open = () =>
    rawRequest(tus.holdall, 'PATCH', `${endpoint.url}${new URL(url).pathname}`, {
      'Transfer-Encoding': 'chunked',
      'Upload-Offset': '0',
      'Content-Type': OFFSET_TYPE,
    })
  const broken = await open()
  broken.socket.resetAndDestroy()
  const silent = await open()
  expect((await silent.answer()).status).toBe(423)
  silent.socket.destroy()
  expect(await tus.offset(url)).toBe(0)
})

test.each([
  ['announced', { Trailer: 'Upload-Checksum' }],
  ['announced among others', { Trailer: 'X-Other, upload-checksum' }],
  ['not announced', {}],
])('a checksum in a trailer, %s, is refused', async (_, announced) => {
  await using tus = await openTus()
  const { url } = await createUpload(tus.holdall, {
    workspaceId: tus.workspaceId,
    name: 'a',
    size: 5,
  })
  const headers = { 'Upload-Offset': '0', 'Content-Type': OFFSET_TYPE, ...announced }
  const trailer = 'Upload-Checksum: sha1 Kq5sNclPz7QV2+lfQIuc6R7oRu0=\r\n'
  const patch = (body: string) => chunked(tus, ['PATCH', url], headers, body)
  const { status, body } = await patch(`5\r\nhello\r\n0\r\n${trailer}\r\n`)
  expect([status, body]).toEqual([400, expect.stringContaining('trailer')])
  expect((await patch(`0\r\n${trailer}\r\n`)).status).toBe(400)
  expect(await tus.offset(url)).toBe(0)
})
