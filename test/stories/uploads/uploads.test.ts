import { createHash } from 'node:crypto'
import { expect, test } from 'vitest'
import {
  attempt,
  children,
  confirmUpload,
  createFolder,
  createUpload,
  createWorkspace,
  download,
  entryByPath,
  sendBytes,
  uploadFile,
} from '../../support/client.ts'
import { createToken, invite, unbindToken } from '../../support/data/people.ts'
import { postForm } from '../../support/network/forms.ts'
import { metadata, tusOf } from '../../support/network/tus.ts'
import { startTestServer, type TestServer } from '../../support/servers/test-server.ts'

const sha256 = (text: string) => createHash('sha256').update(text).digest('hex')

async function open(workspace: object = {}, options: Parameters<typeof startTestServer>[0] = {}) {
  const holdall = await startTestServer(options)
  const { id: workspaceId, root } = await createWorkspace(holdall, { ...workspace })
  const close = () => holdall[Symbol.asyncDispose]()
  return { holdall, workspaceId, rootId: root.id, [Symbol.asyncDispose]: close }
}

const uploadFields = `id status transport url name path size offset expiresAt headers { name value }
  createdBy { name } file { id path } version { number } failures { code message retryable }`

async function upload(holdall: TestServer, id: string, as = {}) {
  const query = `query ($id: ID!) { node(id: $id) { ... on Upload { ${uploadFields} } } }`
  return (await holdall.ask(query, { id }, as)).node
}

async function usage(holdall: TestServer, id: string) {
  const fields = 'currentBytes olderVersionBytes trashedBytes reservedBytes storedBytes'
  const query = `query ($id: ID!) { workspace(by: { id: $id }) { usage { ${fields} } } }`
  return (await holdall.ask(query, { id })).workspace.usage
}

test('resumes an interrupted upload in three pieces, refuses an early confirm, and creates the file', async () => {
  await using here = await open()
  const { holdall, workspaceId } = here
  const text = 'one two three'
  const made = await createUpload(holdall, {
    workspaceId,
    path: 'raw/2025',
    name: 'a.txt',
    size: text.length,
    sha256: sha256(text),
    description: 'first',
    tags: ['Raw', 'raw', 'x'],
    metadata: { plate: 7 },
  })
  expect(await upload(holdall, made.id)).toMatchObject({
    status: 'CREATED',
    transport: 'TUS',
    name: 'a.txt',
    path: 'raw/2025/a.txt',
    size: 13,
    offset: 0,
    file: null,
    failures: [],
  })
  expect(await usage(holdall, workspaceId)).toMatchObject({ reservedBytes: 13, currentBytes: 0 })
  await sendBytes(holdall, made, 'one ', 0)
  expect(await tusOf(holdall).offset(made.url)).toBe(4)
  await sendBytes(holdall, made, 'two ', 4)
  expect(
    await attempt(holdall, 'confirmUpload', { uploadId: made.id }, 'file { id }'),
  ).toMatchObject({ code: 'UPLOAD_INCOMPLETE', retryable: true, message: '5 bytes are missing' })
  expect(await entryByPath(holdall, workspaceId, 'raw/2025/a.txt')).toBe(null)
  await sendBytes(holdall, made, 'three', 8)
  expect((await upload(holdall, made.id)).status).toBe('RECEIVED')
  const file = await confirmUpload(holdall, { uploadId: made.id, size: 13, sha256: sha256(text) })
  expect(file).toMatchObject({
    path: 'raw/2025/a.txt',
    size: 13,
    sha256: sha256(text),
    version: { number: 1 },
  })
  expect(await confirmUpload(holdall, { uploadId: made.id })).toEqual(file)
  expect(await upload(holdall, made.id)).toMatchObject({
    status: 'COMPLETE',
    expiresAt: null,
    file: { id: file.id },
    version: { number: 1 },
  })
  expect(await usage(holdall, workspaceId)).toMatchObject({
    reservedBytes: 0,
    currentBytes: 13,
    storedBytes: 13,
  })
  expect((await download(holdall, file.id)).toString()).toBe(text)
  const query =
    'query ($id: ID!) { node(id: $id) { ... on File { description metadata tags { name } } } }'
  const { node } = await holdall.ask(query, { id: file.id })
  expect(node).toEqual({
    description: 'first',
    metadata: { plate: 7 },
    tags: [{ name: 'Raw' }, { name: 'x' }],
  })
})

test('an empty file is a file', async () => {
  await using here = await open()
  const made = await createUpload(here.holdall, {
    workspaceId: here.workspaceId,
    name: 'empty',
    size: 0,
  })
  expect(made.status).toBe('RECEIVED')
  const file = await confirmUpload(here.holdall, { uploadId: made.id })
  expect(file.sha256).toBe(sha256(''))
  expect((await download(here.holdall, file.id)).length).toBe(0)
})

test('a deferred length can be declared at the end', async () => {
  await using here = await open()
  const { holdall, workspaceId } = here
  const made = await createUpload(holdall, { workspaceId, name: 'stream' })
  await sendBytes(holdall, made, 'hello ')
  expect(
    await attempt(holdall, 'confirmUpload', { uploadId: made.id }, 'file { id }'),
  ).toMatchObject({ code: 'UPLOAD_INCOMPLETE', message: 'the length is not known yet' })
  expect(await usage(holdall, workspaceId)).toMatchObject({ reservedBytes: 6 })
  await tusOf(holdall).patch(made.url, 6, 'world', { 'Upload-Length': '11' })
  expect(await usage(holdall, workspaceId)).toMatchObject({ reservedBytes: 11 })
  expect((await confirmUpload(holdall, { uploadId: made.id })).size).toBe(11)
  expect(await usage(holdall, workspaceId)).toMatchObject({ reservedBytes: 0, currentBytes: 11 })
})

test('the same idempotencyKey returns the same upload for a day, and reserves once', async () => {
  let now = Date.UTC(2030, 0, 1)
  await using here = await open({}, { now: () => now, env: { UPLOAD_TTL_HOURS: '100' } })
  const { holdall, workspaceId } = here
  const input = { workspaceId, name: 'a', size: 5, idempotencyKey: 'k' }
  const [first, ...again] = await Promise.all([1, 2, 3, 4].map(() => createUpload(holdall, input)))
  expect(new Set([first, ...again].map((upload) => upload?.id)).size).toBe(1)
  now += 86_399_000
  expect((await createUpload(holdall, input)).id).toBe(first?.id)
  now += 1_000
  expect((await createUpload(holdall, input)).id).not.toBe(first?.id)
  expect(await usage(holdall, workspaceId)).toMatchObject({ reservedBytes: 10 })
})

test('without a folder, autoFile selects one by the name', async () => {
  await using here = await open({ autoFile: true })
  const { holdall, workspaceId } = here
  const places = {
    'a.PNG': 'drive/image',
    'b.mp3': 'drive/audio',
    'c.avi': 'drive/video',
    'd.tar.gz': 'drive/others',
    'e.jpg.exe': 'drive/others',
    f: 'drive/others',
  }
  for (const [name, folder] of Object.entries(places)) {
    const file = await uploadFile(holdall, { workspaceId, name, bytes: name })
    expect(file.path).toBe(`${folder}/${name}`)
  }
  expect(
    (await uploadFile(holdall, { workspaceId, name: 'g.png', path: 'mine', bytes: 'g' })).path,
  ).toBe('mine/g.png')
  expect(
    (await uploadFile(holdall, { workspaceId, name: 'h.png', path: '', bytes: 'h' })).path,
  ).toBe('h.png')
})

test('a path is relative to the named folder, and the folder may be moved meanwhile', async () => {
  await using here = await open()
  const { holdall, workspaceId } = here
  const folder = await createFolder(holdall, { workspaceId, name: 'data' })
  const made = await createUpload(holdall, {
    workspaceId,
    folderId: folder.id,
    path: 'raw/x/',
    name: 'a',
    size: 1,
  })
  await sendBytes(holdall, made, '1')
  await holdall.ask(
    'mutation ($id: ID!) { updateEntry(input: { entry: { id: $id }, name: "moved" }) { __typename } }',
    { id: folder.id },
  )
  expect((await confirmUpload(holdall, { uploadId: made.id })).path).toBe('moved/raw/x/a')
})

test('createUpload refuses what cannot become a file, and leaves nothing behind', async () => {
  await using here = await open({ quotaBytes: 100 }, { env: { MAX_UPLOAD_BYTES: '1000' } })
  const { holdall, workspaceId, rootId } = here
  const { id: foreign } = await createWorkspace(holdall, { name: 'Other' })
  const elsewhere = await createFolder(holdall, { workspaceId: foreign, name: 'there' })
  const { id: fileId } = await uploadFile(holdall, { workspaceId, name: 'taken.txt', bytes: 'x' })
  const viewer = await invite(holdall, workspaceId, 'VIEWER')
  const narrow = await createToken(holdall, { scopes: ['FILES_READ'] })
  const stranger = await createToken(holdall, { workspaceId: foreign })
  const before = await holdall.app.db.selectFrom('uploads').selectAll().execute()
  const cases: [object, object, { token?: string }?][] = [
    [{ size: 1001 }, { code: 'FILE_TOO_LARGE', path: ['size'] }],
    [{ size: 100 }, { code: 'QUOTA_EXCEEDED' }],
    [{ name: 'taken.txt' }, { code: 'NAME_CONFLICT' }],
    [{ name: 'TAKEN.txt' }, { code: 'NAME_CONFLICT' }],
    [{ name: '../x' }, { code: 'INVALID_INPUT', path: ['name'] }],
    [{ name: '' }, { code: 'INVALID_INPUT', path: ['name'] }],
    [{ path: '/etc' }, { code: 'INVALID_INPUT', path: ['path'] }],
    [{ path: 'a/../b' }, { code: 'INVALID_INPUT', path: ['path'] }],
    [{ sha256: 'ABC' }, { code: 'INVALID_INPUT', path: ['sha256'] }],
    [{ tags: ['x'.repeat(65)] }, { code: 'INVALID_INPUT', path: ['tags'] }],
    [{ idempotencyKey: '' }, { code: 'INVALID_INPUT', path: ['idempotencyKey'] }],
    [{ idempotencyKey: 'a\ud83d' }, { code: 'INVALID_INPUT', path: ['idempotencyKey'] }],
    [{ idempotencyKey: 'a\0' }, { code: 'INVALID_INPUT', path: ['idempotencyKey'] }],
    [{ folderId: elsewhere.id }, { code: 'NOT_FOUND' }],
    [{ folderId: fileId }, { code: 'INVALID_STATE' }],
    [{ versionOf: rootId }, { code: 'INVALID_STATE' }],
    [{ versionOf: `file_${'0'.repeat(32)}` }, { code: 'NOT_FOUND' }],
    [{ workspaceId: `ws_${'0'.repeat(32)}` }, { code: 'NOT_FOUND' }],
    [{}, { code: 'FORBIDDEN' }, { token: viewer.token }],
    [{}, { code: 'FORBIDDEN' }, { token: narrow.secret }],
    [{}, { code: 'NOT_FOUND' }, { token: stranger.secret }],
  ]
  for (const [input, problem, as] of cases) {
    const whole = { workspaceId, name: 'new.txt', size: 1, ...input }
    const answer = await attempt(holdall, 'createUpload', whole, 'upload { id }', as)
    expect([input, answer]).toMatchObject([input, problem])
  }
  expect(await holdall.app.db.selectFrom('uploads').selectAll().execute()).toEqual(before)
  expect(await usage(holdall, workspaceId)).toMatchObject({ reservedBytes: 0 })
  expect(await Array.fromAsync(holdall.app.blobs.list('staged'))).toEqual([])
})

test('S26, F12: uploads that fit one by one never exceed the quota together', async () => {
  await using here = await open({ quotaBytes: 100 })
  const { holdall, workspaceId } = here
  const answers = await Promise.all(
    Array.from({ length: 30 }, (_, i) =>
      attempt(holdall, 'createUpload', { workspaceId, name: `${i}`, size: 30 }, 'upload { id }'),
    ),
  )
  expect(answers.filter(({ code }) => !code)).toHaveLength(3)
  expect(answers.filter(({ code }) => code === 'QUOTA_EXCEEDED')).toHaveLength(27)
  expect(await usage(holdall, workspaceId)).toMatchObject({ reservedBytes: 90 })
})

test('S26: deferred lengths do not evade the quota', async () => {
  await using here = await open({ quotaBytes: 10 })
  const { holdall, workspaceId } = here
  const made = await createUpload(holdall, { workspaceId, name: 'a' })
  const tus = tusOf(holdall)
  expect((await tus.patch(made.url, 0, 'x'.repeat(8))).status).toBe(204)
  const full = await tus.patch(made.url, 8, 'xxx')
  expect([full.status, full.headers.get('upload-offset')]).toEqual([422, '8'])
  expect(await full.json()).toMatchObject({ code: 'QUOTA_EXCEEDED' })
  expect((await tus.patch(made.url, 8, '', { 'Upload-Length': '11' })).status).toBe(422)
  expect((await tus.patch(made.url, 8, 'xx', { 'Upload-Length': '10' })).status).toBe(204)
  expect((await confirmUpload(holdall, { uploadId: made.id })).size).toBe(10)
})

test('F11: fifty concurrent confirms create one file', async () => {
  await using here = await open()
  const { holdall, workspaceId, rootId } = here
  const made = await createUpload(holdall, { workspaceId, name: 'a.bin', size: 5 })
  await sendBytes(holdall, made, 'hello')
  const files = await Promise.all(
    Array.from({ length: 50 }, () => confirmUpload(holdall, { uploadId: made.id })),
  )
  expect(new Set(files.map(({ id, version }) => `${id} ${version.id}`)).size).toBe(1)
  expect(await children(holdall, rootId)).toHaveLength(1)
  expect(await usage(holdall, workspaceId)).toMatchObject({
    reservedBytes: 0,
    currentBytes: 5,
    storedBytes: 5,
    olderVersionBytes: 0,
  })
})

test.each([
  ['FAIL', { files: 1, versions: 1, conflicts: 9 }],
  ['RENAME', { files: 10, versions: 1, conflicts: 0 }],
  ['NEW_VERSION', { files: 1, versions: 10, conflicts: 0 }],
  ['REPLACE', { files: 1, versions: 1, conflicts: 0 }],
])('ten concurrent confirms of one name, %s', async (onConflict, expected) => {
  await using here = await open()
  const { holdall, workspaceId, rootId } = here
  const made = await Promise.all(
    Array.from({ length: 10 }, () =>
      createUpload(holdall, { workspaceId, name: 'a.txt', size: 1, onConflict }),
    ),
  )
  for (const [i, upload] of made.entries()) await sendBytes(holdall, upload, `${i}`)
  const answers = await Promise.all(
    made.map(({ id }) => attempt(holdall, 'confirmUpload', { uploadId: id }, 'version { number }')),
  )
  const conflicts = answers.filter(({ code }) => code === 'NAME_CONFLICT').length
  const files = (await children(holdall, rootId)).length
  const versions = Math.max(...answers.map(({ version }) => version?.number ?? 0))
  expect({ files, versions, conflicts }).toEqual(expected)
})

test('a confirm that failed on a name conflict can be retried', async () => {
  await using here = await open()
  const { holdall, workspaceId } = here
  const made = await createUpload(holdall, { workspaceId, name: 'a.txt', size: 3 })
  await sendBytes(holdall, made, 'new')
  const old = await uploadFile(holdall, { workspaceId, name: 'a.txt', bytes: 'old' })
  const refused = await attempt(holdall, 'confirmUpload', { uploadId: made.id }, 'file { id }')
  expect(refused).toMatchObject({ code: 'NAME_CONFLICT' })
  expect(await upload(holdall, made.id)).toMatchObject({
    status: 'RECEIVED',
    failures: [{ code: 'NAME_CONFLICT', retryable: true }],
  })
  expect(await usage(holdall, workspaceId)).toMatchObject({ reservedBytes: 3, currentBytes: 3 })
  await holdall.ask(
    'mutation ($id: ID!) { updateEntry(input: { entry: { id: $id }, name: "b.txt" }) { __typename } }',
    { id: old.id },
  )
  const file = await confirmUpload(holdall, { uploadId: made.id })
  expect((await download(holdall, file.id)).toString()).toBe('new')
  expect(await usage(holdall, workspaceId)).toMatchObject({ reservedBytes: 0, currentBytes: 6 })
})

test('bytes that differ from the declared hash never become a file', async () => {
  await using here = await open()
  const { holdall, workspaceId } = here
  const made = await createUpload(holdall, {
    workspaceId,
    name: 'a.txt',
    size: 3,
    sha256: sha256('yes'),
  })
  await sendBytes(holdall, made, 'no!')
  const confirm = () => attempt(holdall, 'confirmUpload', { uploadId: made.id }, 'file { id }')
  const answers = await Promise.all([confirm(), confirm(), confirm()])
  const message = `the checksum of the bytes is ${sha256('no!')}, expected ${sha256('yes')}`
  for (const answer of [...answers, await confirm()])
    expect(answer).toMatchObject({ code: 'CHECKSUM_MISMATCH', message })
  expect(await upload(holdall, made.id)).toMatchObject({
    status: 'FAILED',
    failures: [{ code: 'CHECKSUM_MISMATCH', retryable: false }],
  })
  expect(await usage(holdall, workspaceId)).toMatchObject({
    reservedBytes: 0,
    currentBytes: 0,
    storedBytes: 0,
  })
  expect(await Array.fromAsync(holdall.app.blobs.list('staged'))).toEqual([])
  expect((await tusOf(holdall).head(made.url)).status).toBe(410)
  const query =
    'query ($id: ID!) { workspace(by: { id: $id }) { activity(filter: { actions: [UPLOAD_FAILED] }) { nodes { details } } } }'
  const { workspace } = await holdall.ask(query, { id: workspaceId })
  expect(workspace.activity.nodes).toMatchObject([
    { details: { uploadId: made.id, code: 'CHECKSUM_MISMATCH' } },
  ])
})

test('confirm can declare a hash: a wrong one is refused, a right one is accepted later', async () => {
  await using here = await open()
  const { holdall, workspaceId } = here
  const made = await createUpload(holdall, { workspaceId, name: 'a.txt', size: 3 })
  await sendBytes(holdall, made, 'yes')
  const confirm = (declared: object) =>
    attempt(holdall, 'confirmUpload', { uploadId: made.id, ...declared }, 'file { size }')
  expect(await confirm({ size: 4 })).toMatchObject({ code: 'SIZE_MISMATCH', path: ['size'] })
  expect(await confirm({ sha256: sha256('no') })).toMatchObject({
    code: 'CHECKSUM_MISMATCH',
    path: ['sha256'],
  })
  expect(await confirm({ sha256: 'x' })).toMatchObject({ code: 'INVALID_INPUT', path: ['sha256'] })
  expect(await confirm({ size: 3, sha256: sha256('yes') })).toMatchObject({ file: { size: 3 } })
})

test('a new version, by versionOf and with a comment', async () => {
  await using here = await open()
  const { holdall, workspaceId } = here
  const file = await uploadFile(holdall, { workspaceId, name: 'a.txt', bytes: 'one' })
  const made = await createUpload(holdall, {
    workspaceId,
    name: 'other name.txt',
    size: 4,
    versionOf: file.id,
  })
  expect((await upload(holdall, made.id)).path).toBe('a.txt')
  await sendBytes(holdall, made, 'more')
  const confirmed = await confirmUpload(holdall, { uploadId: made.id, comment: 'better' })
  expect(confirmed).toMatchObject({ id: file.id, name: 'a.txt', size: 4, version: { number: 2 } })
  expect((await upload(holdall, made.id)).version).toEqual({ number: 2 })
  expect(await usage(holdall, workspaceId)).toMatchObject({
    currentBytes: 4,
    olderVersionBytes: 3,
    storedBytes: 7,
  })
})

test('equal content confirmed twice is stored once', async () => {
  await using here = await open()
  const { holdall, workspaceId } = here
  const first = await uploadFile(holdall, { workspaceId, name: 'a', bytes: 'same' })
  const second = await uploadFile(holdall, { workspaceId, name: 'b', bytes: 'same' })
  expect(await usage(holdall, workspaceId)).toMatchObject({ currentBytes: 8, storedBytes: 4 })
  expect(await Array.fromAsync(holdall.app.blobs.list('kept'))).toHaveLength(1)
  expect((await download(holdall, first.id)).equals(await download(holdall, second.id))).toBe(true)
})

test('bytes received before a restart are hashed again', async () => {
  await using here = await open()
  const { holdall, workspaceId } = here
  const made = await createUpload(holdall, {
    workspaceId,
    name: 'a',
    size: 10,
    sha256: sha256('helloworld'),
  })
  await sendBytes(holdall, made, 'hello')
  await holdall.restart()
  await sendBytes(holdall, made, 'world', 5)
  await holdall.restart()
  expect((await confirmUpload(holdall, { uploadId: made.id })).sha256).toBe(sha256('helloworld'))
})

test('S26: a cancelled upload releases its room, and stays cancelled', async () => {
  await using here = await open()
  const { holdall, workspaceId } = here
  const made = await createUpload(holdall, { workspaceId, name: 'a', size: 10 })
  await sendBytes(holdall, made, 'hello')
  const cancel = (id: string) =>
    attempt(holdall, 'cancelUpload', { uploadId: id }, 'upload { status }')
  for (const _ of [1, 2])
    expect(await cancel(made.id)).toMatchObject({ upload: { status: 'CANCELED' } })
  expect(await usage(holdall, workspaceId)).toMatchObject({ reservedBytes: 0 })
  expect((await tusOf(holdall).patch(made.url, 5, 'world')).status).toBe(410)
  expect(
    await attempt(holdall, 'confirmUpload', { uploadId: made.id }, 'file { id }'),
  ).toMatchObject({ code: 'INVALID_STATE', message: 'the upload was canceled' })
  const done = await createUpload(holdall, { workspaceId, name: 'b', size: 1 })
  await sendBytes(holdall, done, 'x')
  await confirmUpload(holdall, { uploadId: done.id })
  expect(await cancel(done.id)).toMatchObject({ code: 'INVALID_STATE' })
})

test('an upload belongs to its creator, even among users with write access', async () => {
  await using here = await open()
  const { holdall, workspaceId } = here
  const made = await createUpload(holdall, { workspaceId, name: 'a', size: 5 })
  await sendBytes(holdall, made, 'hello')
  const editor = await invite(holdall, workspaceId)
  const tus = tusOf(holdall)
  expect((await tus.head(made.url, {}, editor.token)).status).toBe(404)
  expect((await tus.patch(made.url, 5, '', {}, editor.token)).status).toBe(404)
  expect((await tus.terminate(made.url, editor.token)).status).toBe(404)
  for (const name of ['confirmUpload', 'cancelUpload']) {
    expect(
      await attempt(holdall, name, { uploadId: made.id }, 'upload { id }', editor),
    ).toMatchObject({ code: 'NOT_FOUND' })
  }
  expect(await upload(holdall, made.id, editor)).toMatchObject({ status: 'RECEIVED' })
  const { token: stranger } = await invite(holdall, (await createWorkspace(holdall)).id)
  expect(await upload(holdall, made.id, { token: stranger })).toBe(null)
})

test('a role that is removed during an upload ends it', async () => {
  await using here = await open()
  const { holdall, workspaceId } = here
  const editor = await invite(holdall, workspaceId)
  const made = await createUpload(holdall, { workspaceId, name: 'a', size: 10 }, editor)
  await sendBytes(holdall, made, 'hello', 0, editor)
  const input = { workspaceId, userId: editor.userId }
  await attempt(holdall, 'updateMember', { ...input, role: 'VIEWER' }, 'member { role }')
  const tus = tusOf(holdall)
  expect((await tus.patch(made.url, 5, 'world', {}, editor.token)).status).toBe(403)
  expect(
    await attempt(holdall, 'confirmUpload', { uploadId: made.id }, 'file { id }', editor),
  ).toMatchObject({ code: 'FORBIDDEN' })
  await unbindToken(holdall, editor.tokenId)
  await attempt(holdall, 'removeMember', input, 'member { role }')
  expect((await tus.patch(made.url, 5, 'world', {}, editor.token)).status).toBe(404)
  const own = { tokenId: editor.tokenId }
  await attempt(holdall, 'revokeApiToken', own, 'token { id }', editor)
  const revoked = await tus.patch(made.url, 5, 'world', {}, editor.token)
  expect([revoked.status, revoked.headers.get('www-authenticate')]).toEqual([401, 'Bearer'])
})

test('a trashed folder accepts no file, and accepts it after its restore', async () => {
  await using here = await open()
  const { holdall, workspaceId } = here
  const folder = await createFolder(holdall, { workspaceId, name: 'data' })
  const made = await createUpload(holdall, { workspaceId, folderId: folder.id, name: 'a', size: 1 })
  await sendBytes(holdall, made, 'x')
  await holdall.ask(
    'mutation ($id: ID!) { trashEntries(input: { entries: [{ entry: { id: $id } }] }) { __typename } }',
    { id: folder.id },
  )
  const confirm = () => attempt(holdall, 'confirmUpload', { uploadId: made.id }, 'file { path }')
  expect(await confirm()).toMatchObject({ code: 'INVALID_STATE' })
  await holdall.ask(
    'mutation ($id: ID!) { restoreEntries(input: { entries: [{ entry: { id: $id } }] }) { __typename } }',
    { id: folder.id },
  )
  expect(await confirm()).toMatchObject({ file: { path: 'data/a' } })
})

test('lists the uploads of a workspace, newest first, by status', async () => {
  let now = Date.UTC(2030, 0, 1)
  await using here = await open({}, { now: () => now, env: { UPLOAD_TTL_HOURS: '1' } })
  const { holdall, workspaceId } = here
  const made = []
  for (const name of ['a', 'b', 'c', 'd']) {
    made.push(await createUpload(holdall, { workspaceId, name, size: 2 }))
    now += 1000
  }
  const [, b, c, d] = made
  if (!b || !c || !d) throw new Error('four were made')
  await sendBytes(holdall, b, '1')
  await sendBytes(holdall, c, '12')
  await sendBytes(holdall, d, '12')
  await confirmUpload(holdall, { uploadId: d.id })
  const list = async (status?: string[]) => {
    const query =
      'query ($id: ID!, $status: [UploadStatus!]) { workspace(by: { id: $id }) { uploads(status: $status) { totalCount nodes { name status } } } }'
    const { uploads } = (await holdall.ask(query, { id: workspaceId, status })).workspace
    expect(uploads.totalCount).toBe(uploads.nodes.length)
    return uploads.nodes.map(
      ({ name, status }: { name: string; status: string }) => `${name} ${status}`,
    )
  }
  expect(await list()).toEqual(['d COMPLETE', 'c RECEIVED', 'b RECEIVING', 'a CREATED'])
  expect(await list(['CREATED', 'RECEIVED'])).toEqual(['c RECEIVED', 'a CREATED'])
  expect(await list([])).toEqual([])
  now += 3_600_000
  expect(await list(['EXPIRED'])).toEqual(['c EXPIRED', 'b EXPIRED', 'a EXPIRED'])
  expect(await list(['CREATED', 'RECEIVING', 'RECEIVED'])).toEqual([])
})

test('a media type that is not one is ignored, and the type is detected', async () => {
  await using here = await open()
  const { holdall, workspaceId } = here
  const hints = [
    'image',
    'image/*',
    '*/*',
    'undefined',
    'null',
    '[object Object]',
    'a/b\u0000',
    '\ud800',
  ]
  const long = 'x'.repeat(100_000)
  for (const [i, mediaType] of [
    ...hints,
    `image/${long}`,
    `image/png;${long}`,
    long,
    '',
  ].entries()) {
    const file = await uploadFile(holdall, {
      ...{ workspaceId, name: `${i}.jpg`, bytes: 'hi', mediaType },
    })
    expect(file.mediaType).toBe('image/jpeg')
  }
  for (const [i, hint] of [...hints, 'x'.repeat(1000)].entries()) {
    const fields = { workspaceId, filename: `plain-${i}.jpg`, filetype: hint, confirm: 'auto' }
    const headers = { 'Upload-Length': '2', 'Upload-Metadata': metadata(fields) }
    const { status } = await tusOf(holdall).post(headers, 'hi')
    expect([hint, status]).toEqual([hint, 201])
    const created = await entryByPath(holdall, workspaceId, `plain-${i}.jpg`)
    expect(created).toMatchObject({ name: `plain-${i}.jpg` })
  }
  const bytes = Buffer.from([0xff, 0xfe]).toString('base64')
  const notUtf8 = `${metadata({ workspaceId, filename: 'bytes.jpg' })},filetype ${bytes}`
  const headers = { 'Upload-Length': '2', 'Upload-Metadata': notUtf8 }
  expect((await tusOf(holdall).post(headers, 'hi')).status).toBe(201)
  for (const type of ['image', 'image/*', 'undefined', 'x'.repeat(1000)]) {
    const file = { name: 'form.jpg', bytes: 'hi', type }
    const { status, body } = await postForm(holdall, { workspaceId, file, onConflict: 'RENAME' })
    expect([status, body.mediaType]).toEqual([201, 'image/jpeg'])
  }
})
