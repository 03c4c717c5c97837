import { createHash } from 'node:crypto'
import { expect, test } from 'vitest'
import { attempt, confirmUpload, download, entryByPath, uploadFile } from '../../support/client.ts'
import { createToken } from '../../support/data/people.ts'
import { metadata, OFFSET_TYPE, openTus, tusOf } from '../../support/network/tus.ts'

// A generic tus client, without GraphQL.

const length = { 'Upload-Length': '5' }

test('all fields of Upload-Metadata are stored with the file', async () => {
  await using tus = await openTus()
  const { holdall, workspaceId } = tus
  const sha256 = createHash('sha256').update('hello').digest('hex')
  const url = await tus.create(
    {
      workspaceId,
      path: 'raw/2025',
      filename: 'ignored.txt',
      name: 'Größe.txt',
      filetype: 'text/plain',
      description: 'first',
      tags: 'Raw, plate 7,,raw',
      sha256,
      onConflict: 'RENAME',
    },
    length,
  )
  const patched = await tus.patch(url, 0, 'hello')
  expect(patched.headers.get('holdall-upload-status')).toBe('RECEIVED')
  const uploadId = patched.headers.get('holdall-upload-id')
  const file = await confirmUpload(holdall, { uploadId })
  expect(file).toMatchObject({ path: 'raw/2025/Größe.txt', mediaType: 'text/plain', sha256 })
  const query = 'query ($id: ID!) { node(id: $id) { ... on File { description tags { name } } } }'
  expect((await holdall.ask(query, { id: file.id })).node).toEqual({
    description: 'first',
    tags: [{ name: 'plate 7' }, { name: 'Raw' }],
  })
})

test('a missing filename becomes upload-<id>', async () => {
  await using tus = await openTus()
  const { holdall, workspaceId } = tus
  const response = await tus.post(
    { ...length, 'Upload-Metadata': metadata({ workspaceId }) },
    'hello',
  )
  const id = response.headers.get('holdall-upload-id') ?? ''
  expect((await confirmUpload(holdall, { uploadId: id })).name).toBe(`upload-${id}`)
})

test('a token bound to a workspace needs no workspaceId, and reaches no other', async () => {
  await using tus = await openTus()
  const { holdall, workspaceId } = tus
  const { secret: token } = await createToken(holdall, { workspaceId })
  const post = (declared: Record<string, string>, as: string) =>
    holdall.http('/uploads', {
      method: 'POST',
      token: as,
      headers: {
        'Tus-Resumable': '1.0.0',
        ...length,
        ...(declared && { 'Upload-Metadata': metadata(declared) }),
      },
    })
  expect((await post({ filename: 'a' }, token)).status).toBe(201)
  const unbound = await post({ filename: 'a' }, holdall.token)
  expect([unbound.status, await unbound.json()]).toMatchObject([
    400,
    { code: 'INVALID_INPUT', path: ['Upload-Metadata'] },
  ])
  expect((await post({ workspaceId: `ws_${'0'.repeat(32)}` }, token)).status).toBe(404)
})

test('with versionOf the bytes become the next version, with folderId they go into the folder', async () => {
  await using tus = await openTus()
  const { holdall, workspaceId } = tus
  const file = await uploadFile(holdall, { workspaceId, path: 'data', name: 'a.txt', bytes: 'old' })
  const folder = await entryByPath(holdall, workspaceId, 'data')
  await tus.patch(
    await tus.create({ workspaceId, versionOf: file.id, confirm: 'auto' }, length),
    0,
    'hello',
  )
  expect((await download(holdall, file.id)).toString()).toBe('hello')
  await tus.patch(
    await tus.create(
      { workspaceId, folderId: folder?.id ?? '', path: 'x', filename: 'b', confirm: 'auto' },
      length,
    ),
    0,
    'hello',
  )
  expect(await entryByPath(holdall, workspaceId, 'data/x/b')).not.toBe(null)
})

test.each([
  ['onConflict', 'MAYBE'],
  ['confirm', 'later'],
  ['filename', '../x'],
  ['sha256', 'abc'],
  ['path', '/etc'],
])('a wrong %s (%s) is 400, and creates nothing', async (key, value) => {
  await using tus = await openTus()
  const { holdall, workspaceId } = tus
  const response = await tus.post({
    ...length,
    'Upload-Metadata': metadata({ workspaceId, [key]: value }),
  })
  expect([response.status, await response.json()]).toMatchObject([400, { code: 'INVALID_INPUT' }])
  expect(await holdall.app.db.selectFrom('uploads').selectAll().execute()).toEqual([])
})

test('a POST is refused for the same reasons as createUpload', async () => {
  await using tus = await openTus()
  const { holdall, workspaceId } = tus
  await uploadFile(holdall, { workspaceId, name: 'taken', bytes: 'x' })
  await attempt(holdall, 'updateWorkspace', { workspaceId, quotaBytes: 5 }, 'workspace { id }')
  const { secret } = await createToken(holdall, { scopes: ['FILES_READ'] })
  const post = (declared: Record<string, string>, token = holdall.token) =>
    holdall.http('/uploads', {
      method: 'POST',
      token,
      headers: {
        'Tus-Resumable': '1.0.0',
        'Upload-Length': '4',
        'Upload-Metadata': metadata({ workspaceId, ...declared }),
      },
    })
  expect((await post({ filename: 'taken' })).status).toBe(422)
  expect((await post({ filename: 'a' })).status).toBe(201)
  expect((await post({ filename: 'b' })).status).toBe(422)
  expect((await post({ filename: 'c' }, secret)).status).toBe(403)
  const anonymous = await holdall.http('/uploads', {
    method: 'POST',
    token: null,
    headers: { 'Tus-Resumable': '1.0.0', 'Upload-Length': '4' },
  })
  expect([anonymous.status, anonymous.headers.get('www-authenticate')]).toEqual([401, 'Bearer'])
})

test('confirm: auto creates the file with the last byte, and HEAD returns its id', async () => {
  await using tus = await openTus()
  const { holdall, workspaceId } = tus
  const url = await tus.create({ workspaceId, filename: 'a.txt', confirm: 'auto' }, length)
  expect((await tus.patch(url, 0, 'hel')).headers.get('holdall-file-id')).toBe(null)
  const last = await tus.patch(url, 3, 'lo')
  const file = await entryByPath(holdall, workspaceId, 'a.txt')
  const head = await tus.head(url)
  for (const { headers } of [last, head, await tus.patch(url, 5, '')]) {
    expect(headers.get('holdall-file-id')).toBe(file?.id)
    expect(headers.get('holdall-upload-status')).toBe('COMPLETE')
    expect(headers.get('upload-expires')).toBe(null)
  }
  expect([head.headers.get('upload-offset'), head.headers.get('upload-length')]).toEqual(['5', '5'])
})

test('confirm: auto in one POST, also without a byte', async () => {
  await using tus = await openTus()
  const { holdall, workspaceId } = tus
  const declared = (filename: string) => metadata({ workspaceId, filename, confirm: 'auto' })
  const whole = await tus.post({ ...length, 'Upload-Metadata': declared('a.txt') }, 'hello')
  const empty = await tus.post({ 'Upload-Length': '0', 'Upload-Metadata': declared('b.txt') })
  for (const { status, headers } of [whole, empty]) {
    expect([status, headers.get('holdall-upload-status')]).toEqual([201, 'COMPLETE'])
    expect(headers.get('holdall-file-id')).toMatch(/^file_/)
  }
  expect(await entryByPath(holdall, workspaceId, 'b.txt')).toMatchObject({ name: 'b.txt' })
})

test('a refused confirm: auto is 410 for HEAD, and an empty PATCH at the end retries it', async () => {
  await using tus = await openTus()
  const { holdall, workspaceId } = tus
  const url = await tus.create({ workspaceId, filename: 'a.txt', confirm: 'auto' }, length)
  const other = await uploadFile(holdall, { workspaceId, name: 'a.txt', bytes: 'x' })
  const failed = await tus.patch(url, 0, 'hello')
  expect([failed.status, failed.headers.get('upload-offset')]).toEqual([422, '5'])
  expect(await failed.json()).toMatchObject({ code: 'NAME_CONFLICT' })
  const head = await tus.head(url)
  expect([
    head.status,
    head.headers.get('upload-offset'),
    head.headers.get('holdall-upload-status'),
  ]).toEqual([410, '5', 'RECEIVED'])
  expect((await tus.patch(url, 5, '')).status).toBe(422)
  await holdall.ask(
    'mutation ($id: ID!) { updateEntry(input: { entry: { id: $id }, name: "b" }) { __typename } }',
    { id: other.id },
  )
  const again = await tus.patch(url, 5, '')
  expect([again.status, again.headers.get('holdall-upload-status')]).toEqual([204, 'COMPLETE'])
  expect(await entryByPath(holdall, workspaceId, 'a.txt')).toMatchObject({
    id: again.headers.get('holdall-file-id'),
  })
})

test('bytes that do not match the declared hash: 460 with the last of them, then 410', async () => {
  await using tus = await openTus()
  const url = await tus.create(
    { workspaceId: tus.workspaceId, sha256: '0'.repeat(64), confirm: 'auto' },
    length,
  )
  const last = await tus.patch(url, 0, 'hello')
  expect([last.status, ((await last.json()) as any).code]).toEqual([460, 'CHECKSUM_MISMATCH'])
  expect(last.headers.get('holdall-upload-status')).toBe('FAILED')
  expect((await tus.head(url)).status).toBe(410)
})

test('the resource of a confirmed upload exists until it expires, and its file stays', async () => {
  let now = Date.UTC(2030, 0, 1)
  await using tus = await openTus({ now: () => now })
  const url = await tus.create(
    { workspaceId: tus.workspaceId, filename: 'a', confirm: 'auto' },
    length,
  )
  await tus.patch(url, 0, 'hello')
  now += 24 * 3_600_000 - 1
  expect((await tus.head(url)).status).toBe(200)
  now += 1
  expect((await tus.head(url)).status).toBe(410)
  expect(await entryByPath(tus.holdall, tus.workspaceId, 'a')).not.toBe(null)
})

test('every error is one line of JSON', async () => {
  await using tus = await openTus()
  const url = await tus.create({ workspaceId: tus.workspaceId }, length)
  const refusals = [
    await tus.patch(url, 3, 'x'),
    await tus.patch(url, 0, 'x', { 'Content-Type': 'text/plain' }),
    await tus.patch(`${url}x`, 0, 'x'),
    await tus.post({}),
    await tus.holdall.http(url),
  ]
  for (const response of refusals) {
    expect(response.headers.get('content-type')).toBe('application/json; charset=utf-8')
    expect(await response.text()).toMatch(/^\{"code":"[A-Z_]+","message":"[^\n]+\}\n$/)
  }
})

test('two servers with one secret accept each other’s URLs, another does not', async () => {
  await using tus = await openTus()
  await using other = await openTus()
  const url = await tus.create({ workspaceId: tus.workspaceId }, length)
  expect((await tusOf(other.holdall).head(new URL(url).pathname)).status).toBe(404)
  await tus.holdall.restart()
  expect((await tus.head(url)).status).toBe(200)
})

test('a POST without a body needs no content type', async () => {
  await using tus = await openTus()
  const headers = {
    ...length,
    'Upload-Metadata': metadata({ workspaceId: tus.workspaceId }),
    'Content-Type': 'text/plain',
  }
  expect((await tus.post(headers, '')).status).toBe(201)
  expect((await tus.post({ ...headers, 'Content-Type': OFFSET_TYPE }, '')).status).toBe(201)
})
