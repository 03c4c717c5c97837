import { execFile } from 'node:child_process'
import { createHash, randomBytes } from 'node:crypto'
import { writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { promisify } from 'node:util'
import { expect, test } from 'vitest'
import {
  act,
  attempt,
  confirmUpload,
  createUpload,
  createWorkspace,
  download,
  usageOf,
} from '../../support/client.ts'
import { createToken, invite } from '../../support/data/people.ts'
import { OFFSET_TYPE, rawRequest, until } from '../../support/network/tus.ts'
import { startTestServer, type TestServer } from '../../support/servers/test-server.ts'

const run = promisify(execFile)
const sha256 = (bytes: Uint8Array) => createHash('sha256').update(bytes).digest('hex')

async function open(options: Parameters<typeof startTestServer>[0] = {}) {
  const holdall = await startTestServer(options)
  const { id: workspaceId } = await createWorkspace(holdall)
  return { holdall, workspaceId, [Symbol.asyncDispose]: () => holdall[Symbol.asyncDispose]() }
}

const signed = (
  holdall: TestServer,
  { workspaceId }: { workspaceId: string },
  size: number,
  as: { token?: string } = {},
) => createUpload(holdall, { workspaceId, name: 'a.bin', size, transport: 'SIGNED_PUT' }, as)

/** PUTs to the URL without any further header. */
const put = (holdall: TestServer, url: string, body: Uint8Array | string, headers = {}) =>
  holdall.http(url, { method: 'PUT', token: null, headers, body: body as BodyInit })

/** Resolves when the first bytes have arrived. */
const begun = (holdall: TestServer) =>
  until(async () => {
    for await (const { size } of holdall.app.blobs.list('staged')) return size > 0
    return false
  })

async function statusOf(holdall: TestServer, id: string) {
  const query = 'query ($id: ID!) { node(id: $id) { ... on Upload { status offset } } }'
  return (await holdall.ask(query, { id })).node
}

test('one PUT of the whole body to the URL, without a token, and a confirm', async () => {
  await using here = await open()
  const { holdall, workspaceId } = here
  const bytes = randomBytes(3_000_000)
  const upload = await signed(holdall, here, bytes.length)
  const query =
    'query ($id: ID!) { node(id: $id) { ... on Upload { transport url headers { name } } } }'
  expect((await holdall.ask(query, { id: upload.id })).node).toEqual({
    transport: 'SIGNED_PUT',
    url: upload.url,
    headers: [],
  })
  expect(upload.url).toMatch(/\/uploads\/put\/[0-9a-f]{32}\.k[0-9a-f]{8}\.[\w-]{22}$/)
  const response = await put(holdall, upload.url, bytes)
  expect([response.status, response.headers.get('holdall-upload-status')]).toEqual([
    204,
    'RECEIVED',
  ])
  const file = await confirmUpload(holdall, { uploadId: upload.id, sha256: sha256(bytes) })
  expect((await download(holdall, file.id)).equals(bytes)).toBe(true)
  expect(await usageOf(holdall, workspaceId)).toMatchObject({ reservedBytes: 0, fileCount: 1 })
})

test('curl -T does it', async () => {
  await using here = await open()
  const bytes = randomBytes(2_000_000)
  const source = join(here.holdall.dir, 'source')
  await writeFile(source, bytes)
  const upload = await signed(here.holdall, here, bytes.length)
  await run('curl', ['-sf', '-T', source, upload.url])
  expect((await confirmUpload(here.holdall, { uploadId: upload.id })).sha256).toBe(sha256(bytes))
})

test('it requires a size, which createUploads checks as well', async () => {
  await using here = await open()
  const { holdall, workspaceId } = here
  const input = { workspaceId, name: 'a', transport: 'SIGNED_PUT' }
  const refused = await attempt(holdall, 'createUpload', input, '__typename')
  expect(refused).toMatchObject({ code: 'INVALID_INPUT', path: ['size'] })
  const uploads = [{ ...input, size: 1 }, input]
  const selection = 'results { upload { transport } error { code } }'
  const { results } = await act(
    holdall,
    'createUploads',
    { uploads, mode: 'BEST_EFFORT' },
    selection,
  )
  expect(results).toEqual([
    { upload: { transport: 'SIGNED_PUT' }, error: null },
    { upload: null, error: { code: 'INVALID_INPUT' } },
  ])
  const form = { ...input, size: 1, transport: 'FORM' }
  expect(await attempt(holdall, 'createUpload', form, '__typename')).toMatchObject({
    code: 'INVALID_INPUT',
    path: ['transport'],
  })
})

test('fewer bytes are 400, more 413, a range 400; then the right ones are accepted', async () => {
  await using here = await open()
  const { holdall } = here
  const upload = await signed(holdall, here, 5)
  expect((await put(holdall, upload.url, 'four')).status).toBe(400)
  expect((await put(holdall, upload.url, 'sixsix')).status).toBe(413)
  const range = { 'Content-Range': 'bytes 0-4/10' }
  expect((await put(holdall, upload.url, 'hello', range)).status).toBe(400)
  for (const [body, status] of [
    ['four', 400],
    ['sixsix', 413],
  ] as const) {
    const raw = await rawRequest(holdall, 'PUT', upload.url, { 'Transfer-Encoding': 'chunked' })
    await raw.write(`${body.length}\r\n${body}\r\n0\r\n\r\n`)
    expect((await raw.answer()).status).toBe(status)
  }
  expect(await statusOf(holdall, upload.id)).toEqual({ status: 'CREATED', offset: 0 })
  const refused = await attempt(holdall, 'confirmUpload', { uploadId: upload.id }, '__typename')
  expect(refused.code).toBe('UPLOAD_INCOMPLETE')
  expect((await put(holdall, upload.url, 'hello')).status).toBe(204)
})

test('a PUT that is cut off is restarted from the beginning', async () => {
  await using here = await open()
  const { holdall } = here
  const bytes = randomBytes(3_000_000)
  const upload = await signed(holdall, here, bytes.length)
  const raw = await rawRequest(holdall, 'PUT', upload.url, { 'Content-Length': '3000000' })
  await raw.write(randomBytes(2_000_000))
  await begun(holdall)
  raw.socket.destroy()
  const again = await put(holdall, upload.url, bytes)
  expect([again.status, await again.text()]).toEqual([204, ''])
  expect((await confirmUpload(holdall, { uploadId: upload.id })).sha256).toBe(sha256(bytes))
})

test('a newer PUT ends an older one that hangs', async () => {
  await using here = await open()
  const { holdall } = here
  const bytes = randomBytes(3_000_000)
  const upload = await signed(holdall, here, bytes.length)
  const hanging = await rawRequest(holdall, 'PUT', upload.url, { 'Content-Length': '3000000' })
  await hanging.write(randomBytes(2_000_000))
  await begun(holdall)
  expect((await put(holdall, upload.url, bytes)).status).toBe(204)
  expect((await hanging.answer()).status).toBe(423)
  expect((await confirmUpload(holdall, { uploadId: upload.id })).sha256).toBe(sha256(bytes))
})

test('a complete upload accepts no other bytes: 409, also once it is a file', async () => {
  await using here = await open()
  const { holdall } = here
  const upload = await signed(holdall, here, 5)
  await put(holdall, upload.url, 'hello')
  expect((await put(holdall, upload.url, 'again')).status).toBe(409)
  const file = await confirmUpload(holdall, { uploadId: upload.id })
  expect((await put(holdall, upload.url, 'again')).status).toBe(409)
  expect((await download(holdall, file.id)).toString()).toBe('hello')
})

test('an empty body is valid', async () => {
  await using here = await open()
  const upload = await signed(here.holdall, here, 0)
  expect((await put(here.holdall, upload.url, '')).status).toBe(204)
  expect((await confirmUpload(here.holdall, { uploadId: upload.id })).size).toBe(0)
})

test('the URL is valid for one method, one upload and one endpoint', async () => {
  await using here = await open()
  const { holdall, workspaceId } = here
  const upload = await signed(holdall, here, 5)
  const other = await signed(holdall, here, 5)
  const tus = await createUpload(holdall, { workspaceId, name: 'b', size: 5 })
  const [hex = '', mac = ''] = upload.url.split('/').at(-1)?.split('.') ?? []
  const [otherHex = ''] = other.url.split('/').at(-1)?.split('.') ?? []
  for (const key of [
    `${otherHex}.${mac}`,
    `${hex}.${mac.slice(1)}A`,
    hex,
    '',
    tus.url.split('/').at(-1),
  ]) {
    expect((await put(holdall, `/uploads/put/${key}`, 'hello')).status).toBe(404)
  }
  expect((await holdall.http(upload.url, { token: null })).status).toBe(405)
  const patch = { 'Tus-Resumable': '1.0.0', 'Upload-Offset': '0', 'Content-Type': OFFSET_TYPE }
  const asTus = { method: 'PATCH', headers: patch, body: 'hello' }
  expect((await holdall.http(`/uploads/${hex}.${mac}`, asTus)).status).toBe(404)
  expect((await put(holdall, upload.url, 'hello')).status).toBe(204)
})

test('its creator must still have write access, by the same token', async () => {
  await using here = await open()
  const { holdall, workspaceId } = here
  const member = await invite(holdall, workspaceId)
  const removed = await signed(holdall, here, 5, member)
  const userId = member.userId
  await act(holdall, 'updateMember', { workspaceId, userId, role: 'VIEWER' }, '__typename')
  expect((await put(holdall, removed.url, 'hello')).status).toBe(410)
  await act(holdall, 'removeMember', { workspaceId, userId }, '__typename')
  expect((await put(holdall, removed.url, 'hello')).status).toBe(410)
  const token = await createToken(holdall)
  const revoked = await signed(holdall, here, 5, { token: token.secret })
  await act(holdall, 'revokeApiToken', { tokenId: token.id }, '__typename')
  expect((await put(holdall, revoked.url, 'hello')).status).toBe(403)
})

test('it expires with the upload, and a cancelled upload accepts nothing', async () => {
  let now = Date.UTC(2030, 0, 1)
  await using here = await open({ now: () => now })
  const { holdall } = here
  const cancelled = await signed(holdall, here, 5)
  await act(holdall, 'cancelUpload', { uploadId: cancelled.id }, '__typename')
  expect((await put(holdall, cancelled.url, 'hello')).status).toBe(410)
  const late = await signed(holdall, here, 5)
  now += 24 * 3_600_000
  expect((await put(holdall, late.url, 'hello')).status).toBe(410)
})

test('a running PUT ends with its upload', async () => {
  await using here = await open()
  const { holdall, workspaceId } = here
  const upload = await signed(holdall, here, 3_000_000)
  const raw = await rawRequest(holdall, 'PUT', upload.url, { 'Content-Length': '3000000' })
  await raw.write(randomBytes(2_000_000))
  await begun(holdall)
  await act(holdall, 'cancelUpload', { uploadId: upload.id }, '__typename')
  await raw.write(randomBytes(1_000_000))
  expect((await raw.answer()).status).toBe(423)
  expect(await usageOf(holdall, workspaceId)).toMatchObject({ reservedBytes: 0 })
})

test('a server that shuts down lets a PUT finish', async () => {
  await using here = await open()
  const { holdall } = here
  const bytes = randomBytes(2_000_000)
  const upload = await signed(holdall, here, bytes.length)
  const raw = await rawRequest(holdall, 'PUT', upload.url, { 'Content-Length': '2000000' })
  await raw.write(bytes.subarray(0, 1_000_000))
  await begun(holdall)
  const restarted = holdall.restart()
  await raw.write(bytes.subarray(1_000_000))
  expect((await raw.answer()).status).toBe(204)
  await restarted
  expect((await confirmUpload(holdall, { uploadId: upload.id })).sha256).toBe(sha256(bytes))
})
