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
} from '../support/client.ts'
import { giveToken, invite } from '../support/people.ts'
import { type House, openHouse } from '../support/test-server.ts'
import { OFFSET_TYPE, rawRequest, until } from '../support/tus.ts'

const run = promisify(execFile)
const sha256 = (bytes: Uint8Array) => createHash('sha256').update(bytes).digest('hex')

async function open(options: Parameters<typeof openHouse>[0] = {}) {
  const house = await openHouse(options)
  const { id: workspaceId } = await createWorkspace(house)
  return { house, workspaceId, [Symbol.asyncDispose]: () => house[Symbol.asyncDispose]() }
}

const signed = (
  house: House,
  { workspaceId }: { workspaceId: string },
  size: number,
  as: { token?: string } = {},
) => createUpload(house, { workspaceId, name: 'a.bin', size, transport: 'SIGNED_PUT' }, as)

/** Nothing of ours goes with it: the URL is all. */
const put = (house: House, url: string, body: Uint8Array | string, headers = {}) =>
  house.http(url, { method: 'PUT', token: null, headers, body: body as BodyInit })

/** The first bytes have come. */
const begun = (house: House) =>
  until(async () => {
    for await (const { size } of house.app.blobs.list('staged')) return size > 0
    return false
  })

async function statusOf(house: House, id: string) {
  const query = 'query ($id: ID!) { node(id: $id) { ... on Upload { status offset } } }'
  return (await house.ask(query, { id })).node
}

test('one PUT of the whole body to the URL, without a token, and a confirm', async () => {
  await using here = await open()
  const { house, workspaceId } = here
  const bytes = randomBytes(3_000_000)
  const upload = await signed(house, here, bytes.length)
  const query =
    'query ($id: ID!) { node(id: $id) { ... on Upload { transport url headers { name } } } }'
  expect((await house.ask(query, { id: upload.id })).node).toEqual({
    transport: 'SIGNED_PUT',
    url: upload.url,
    headers: [],
  })
  expect(upload.url).toMatch(/\/uploads\/put\/[0-9a-f]{32}\.k[0-9a-f]{8}\.[\w-]{22}$/)
  const response = await put(house, upload.url, bytes)
  expect([response.status, response.headers.get('holdall-upload-status')]).toEqual([
    204,
    'RECEIVED',
  ])
  const file = await confirmUpload(house, { uploadId: upload.id, sha256: sha256(bytes) })
  expect((await download(house, file.id)).equals(bytes)).toBe(true)
  expect(await usageOf(house, workspaceId)).toMatchObject({ reservedBytes: 0, fileCount: 1 })
})

test('curl -T does it', async () => {
  await using here = await open()
  const bytes = randomBytes(2_000_000)
  const source = join(here.house.dir, 'source')
  await writeFile(source, bytes)
  const upload = await signed(here.house, here, bytes.length)
  await run('curl', ['-sf', '-T', source, upload.url])
  expect((await confirmUpload(here.house, { uploadId: upload.id })).sha256).toBe(sha256(bytes))
})

test('it needs a size, which createUploads asks for as well', async () => {
  await using here = await open()
  const { house, workspaceId } = here
  const input = { workspaceId, name: 'a', transport: 'SIGNED_PUT' }
  const refused = await attempt(house, 'createUpload', input, '__typename')
  expect(refused).toMatchObject({ code: 'INVALID_INPUT', path: ['size'] })
  const uploads = [{ ...input, size: 1 }, input]
  const selection = 'results { upload { transport } error { code } }'
  const { results } = await act(house, 'createUploads', { uploads, mode: 'BEST_EFFORT' }, selection)
  expect(results).toEqual([
    { upload: { transport: 'SIGNED_PUT' }, error: null },
    { upload: null, error: { code: 'INVALID_INPUT' } },
  ])
  const form = { ...input, size: 1, transport: 'FORM' }
  expect(await attempt(house, 'createUpload', form, '__typename')).toMatchObject({
    code: 'INVALID_INPUT',
    path: ['transport'],
  })
})

test('fewer bytes are 400, more 413, a range 400; nothing of them counts, and the right ones are taken then', async () => {
  await using here = await open()
  const { house } = here
  const upload = await signed(house, here, 5)
  expect((await put(house, upload.url, 'four')).status).toBe(400)
  expect((await put(house, upload.url, 'sixsix')).status).toBe(413)
  const range = { 'Content-Range': 'bytes 0-4/10' }
  expect((await put(house, upload.url, 'hello', range)).status).toBe(400)
  for (const [body, status] of [
    ['four', 400],
    ['sixsix', 413],
  ] as const) {
    const raw = await rawRequest(house, 'PUT', upload.url, { 'Transfer-Encoding': 'chunked' })
    await raw.write(`${body.length}\r\n${body}\r\n0\r\n\r\n`)
    expect((await raw.answer()).status).toBe(status)
  }
  expect(await statusOf(house, upload.id)).toEqual({ status: 'CREATED', offset: 0 })
  const refused = await attempt(house, 'confirmUpload', { uploadId: upload.id }, '__typename')
  expect(refused.code).toBe('UPLOAD_INCOMPLETE')
  expect((await put(house, upload.url, 'hello')).status).toBe(204)
})

test('a PUT that is cut off begins anew', async () => {
  await using here = await open()
  const { house } = here
  const bytes = randomBytes(3_000_000)
  const upload = await signed(house, here, bytes.length)
  const raw = await rawRequest(house, 'PUT', upload.url, { 'Content-Length': '3000000' })
  await raw.write(randomBytes(2_000_000))
  await begun(house)
  raw.socket.destroy()
  const again = await put(house, upload.url, bytes)
  expect([again.status, await again.text()]).toEqual([204, ''])
  expect((await confirmUpload(house, { uploadId: upload.id })).sha256).toBe(sha256(bytes))
})

test('a newer PUT ends an older one that hangs', async () => {
  await using here = await open()
  const { house } = here
  const bytes = randomBytes(3_000_000)
  const upload = await signed(house, here, bytes.length)
  const hanging = await rawRequest(house, 'PUT', upload.url, { 'Content-Length': '3000000' })
  await hanging.write(randomBytes(2_000_000))
  await begun(house)
  expect((await put(house, upload.url, bytes)).status).toBe(204)
  expect((await hanging.answer()).status).toBe(423)
  expect((await confirmUpload(house, { uploadId: upload.id })).sha256).toBe(sha256(bytes))
})

test('what has all its bytes takes no others: 409, also once it is a file', async () => {
  await using here = await open()
  const { house } = here
  const upload = await signed(house, here, 5)
  await put(house, upload.url, 'hello')
  expect((await put(house, upload.url, 'again')).status).toBe(409)
  const file = await confirmUpload(house, { uploadId: upload.id })
  expect((await put(house, upload.url, 'again')).status).toBe(409)
  expect((await download(house, file.id)).toString()).toBe('hello')
})

test('no byte is a body too', async () => {
  await using here = await open()
  const upload = await signed(here.house, here, 0)
  expect((await put(here.house, upload.url, '')).status).toBe(204)
  expect((await confirmUpload(here.house, { uploadId: upload.id })).size).toBe(0)
})

test('the URL is for one method, one upload and one door', async () => {
  await using here = await open()
  const { house, workspaceId } = here
  const upload = await signed(house, here, 5)
  const other = await signed(house, here, 5)
  const tus = await createUpload(house, { workspaceId, name: 'b', size: 5 })
  const [hex = '', mac = ''] = upload.url.split('/').at(-1)?.split('.') ?? []
  const [otherHex = ''] = other.url.split('/').at(-1)?.split('.') ?? []
  for (const key of [
    `${otherHex}.${mac}`,
    `${hex}.${mac.slice(1)}A`,
    hex,
    '',
    tus.url.split('/').at(-1),
  ]) {
    expect((await put(house, `/uploads/put/${key}`, 'hello')).status).toBe(404)
  }
  expect((await house.http(upload.url, { token: null })).status).toBe(405)
  const patch = { 'Tus-Resumable': '1.0.0', 'Upload-Offset': '0', 'Content-Type': OFFSET_TYPE }
  const asTus = { method: 'PATCH', headers: patch, body: 'hello' }
  expect((await house.http(`/uploads/${hex}.${mac}`, asTus)).status).toBe(404)
  expect((await put(house, upload.url, 'hello')).status).toBe(204)
})

test('who made it must still be allowed to write, by the same token', async () => {
  await using here = await open()
  const { house, workspaceId } = here
  const member = await invite(house, workspaceId)
  const removed = await signed(house, here, 5, member)
  const userId = member.userId
  await act(house, 'updateMember', { workspaceId, userId, role: 'VIEWER' }, '__typename')
  expect((await put(house, removed.url, 'hello')).status).toBe(410)
  await act(house, 'removeMember', { workspaceId, userId }, '__typename')
  expect((await put(house, removed.url, 'hello')).status).toBe(410)
  const token = await giveToken(house)
  const revoked = await signed(house, here, 5, { token: token.secret })
  await act(house, 'revokeApiToken', { tokenId: token.id }, '__typename')
  expect((await put(house, revoked.url, 'hello')).status).toBe(403)
})

test('its time is the time of the upload, and a cancelled one takes nothing', async () => {
  let now = Date.UTC(2030, 0, 1)
  await using here = await open({ now: () => now })
  const { house } = here
  const cancelled = await signed(house, here, 5)
  await act(house, 'cancelUpload', { uploadId: cancelled.id }, '__typename')
  expect((await put(house, cancelled.url, 'hello')).status).toBe(410)
  const late = await signed(house, here, 5)
  now += 24 * 3_600_000
  expect((await put(house, late.url, 'hello')).status).toBe(410)
})

test('a PUT under way ends with its upload', async () => {
  await using here = await open()
  const { house, workspaceId } = here
  const upload = await signed(house, here, 3_000_000)
  const raw = await rawRequest(house, 'PUT', upload.url, { 'Content-Length': '3000000' })
  await raw.write(randomBytes(2_000_000))
  await begun(house)
  await act(house, 'cancelUpload', { uploadId: upload.id }, '__typename')
  await raw.write(randomBytes(1_000_000))
  expect((await raw.answer()).status).toBe(423)
  expect(await usageOf(house, workspaceId)).toMatchObject({ reservedBytes: 0 })
})

test('a house that closes lets a PUT end', async () => {
  await using here = await open()
  const { house } = here
  const bytes = randomBytes(2_000_000)
  const upload = await signed(house, here, bytes.length)
  const raw = await rawRequest(house, 'PUT', upload.url, { 'Content-Length': '2000000' })
  await raw.write(bytes.subarray(0, 1_000_000))
  await begun(house)
  const restarted = house.restart()
  await raw.write(bytes.subarray(1_000_000))
  expect((await raw.answer()).status).toBe(204)
  await restarted
  expect((await confirmUpload(house, { uploadId: upload.id })).sha256).toBe(sha256(bytes))
})
