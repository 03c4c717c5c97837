import { afterAll, beforeAll, expect, test } from 'vitest'
import {
  act,
  attempt,
  createUpload,
  createWorkspace,
  entryByPath,
  sendBytes,
  uploadFile,
  type WorkspaceHandle,
} from '../../support/client.ts'
import { postForm } from '../../support/network/forms.ts'
import { startTestServer, type TestServer } from '../../support/servers/test-server.ts'
import { expectFast, timingRetries } from '../../support/timed.ts'

// The rows of the second seed: a drive with folders by kind, paths by regular expression, and rows that
// hold a file's path.

let holdall: TestServer
let drive: WorkspaceHandle
beforeAll(async () => {
  holdall = await startTestServer()
  drive = await createWorkspace(holdall, { name: 'Engine', autoFile: true })
  const columns = [
    { name: 'picture', type: 'FILE_PATH' },
    { name: 'label', type: 'TEXT' },
  ]
  await act(
    holdall,
    'createTable',
    { workspaceId: drive.id, name: 'scans', columns },
    'table { name }',
  )
})
afterAll(() => holdall[Symbol.asyncDispose]())

const put = (name: string, more: object = {}) =>
  uploadFile(holdall, { workspaceId: drive.id, name, bytes: name, ...more })
const rowsOf = async () => {
  const query =
    'query ($id: ID!) { workspace(by: { id: $id }) { table(name: "scans") { rows(first: 100) { nodes { id values } } } } }'
  const { workspace } = await holdall.ask(query, { id: drive.id })
  return workspace.table.rows.nodes.map(({ values }: { values: object }) => values)
}
const pathsOf = async (filter: string) => {
  const query = `query ($id: ID!) { workspace(by: { id: $id }) { entries(filter: { ${filter} }) { nodes { path } } } }`
  const { workspace } = await holdall.ask(query, { id: drive.id })
  return workspace.entries.nodes.map(({ path }: { path: string }) => path).sort()
}
const link = (values: object = {}) => ({ table: 'scans', column: 'picture', values })
const picturesOf = (rows: { picture: string }[]) => rows.map(({ picture }) => picture)

test('seed B1: files without a folder go to drive/', async () => {
  expect((await put('notes.txt')).path).toMatch(/^drive\//)
  expect((await put('own.txt', { path: 'own' })).path).toBe('own/own.txt')
})

const kinds = {
  B2: ['image', ['b2.jpg', 'b2.png', 'b2.jpeg', 'B2-upper.JPG']],
  B3: ['audio', ['b3.mp3', 'b3.wav']],
  B4: ['video', ['b4.mp4', 'b4.wmv', 'b4.avi']],
  B5: ['others', ['b5.tar.gz', 'b5', 'b5.', 'b5.jpg.exe']],
} as const
for (const [row, [folder, names]] of Object.entries(kinds)) {
  test(`seed ${row}: ${names.join(' ')} go to drive/${folder}`, async () => {
    for (const name of names) expect((await put(name)).path).toBe(`drive/${folder}/${name}`)
  })
}

test('seed B6: a path returns the folder with its content, the file, or null', async () => {
  await put('six.txt', { path: 'b6/inner' })
  expect(await entryByPath(holdall, drive.id, 'b6')).toMatchObject({ __typename: 'Folder' })
  expect(await entryByPath(holdall, drive.id, 'b6/inner/six.txt')).toMatchObject({
    __typename: 'File',
  })
  expect(await entryByPath(holdall, drive.id, 'b6/missing')).toBeNull()
  expect(await pathsOf('pathPrefix: "b6/"')).toEqual(['b6/inner', 'b6/inner/six.txt'])
})

test('seed B7: a path may be a regular expression, in linear time', timingRetries, async () => {
  for (const name of ['b7-1.png', 'b7-2.png', 'b7.jpg']) await put(name)
  expect(await pathsOf('pathRegex: "^drive/image/b7.*\\\\.png$"')).toEqual([
    'drive/image/b7-1.png',
    'drive/image/b7-2.png',
  ])
  const query =
    'query ($id: ID!) { workspace(by: { id: $id }) { entries(filter: { pathRegex: "(?=x)[" }) { totalCount } } }'
  const { errors } = await holdall.graphql(query, { id: drive.id })
  expect(errors?.[0]?.extensions?.code).toBe('INVALID_INPUT')
  const started = performance.now()
  await pathsOf('pathRegex: "^(a+)+$"')
  await expectFast(holdall, performance.now() - started, 300)
})

test('seed B8: a bearer token on everything, never in the query', async () => {
  const upload = await createUpload(holdall, { workspaceId: drive.id, name: 'b8', size: 1 })
  expect(
    (
      await holdall.http(`/graphql?query={viewer{user{id}}}&token=${holdall.token}`, {
        token: null,
      })
    ).status,
  ).not.toBe(200)
  expect(
    (
      await holdall.http(upload.url, {
        method: 'HEAD',
        headers: { 'tus-resumable': '1.0.0' },
        token: null,
      })
    ).status,
  ).toBe(401)
  const { id } = await put('b8.txt')
  expect((await holdall.http(`/download/${id}`, { token: null })).status).toBe(401)
  expect((await holdall.http(`/download/${id}`)).status).toBe(200)
})

test('seed B9: a request that fails as a whole has an error status', async () => {
  const requested = (query: string, token?: string) =>
    holdall.graphql(query, {}, token ? { token } : {})
  expect((await requested('{ nothing }')).status).toBe(400)
  expect((await requested('{ viewer { scopes } }', 'hld_wrong')).status).toBe(401)
  expect((await requested('{ viewer { scopes } }')).status).toBe(200)
})

test('seed B10: a form part has its type and its name', async () => {
  const file = { name: 'Größe – 数.csv', bytes: 'a,b\n1,2\n', type: 'text/csv' }
  const { status, body } = await postForm(holdall, { file, workspaceId: drive.id, path: 'b10' })
  expect([status, body]).toMatchObject([
    201,
    { name: file.name, mediaType: 'text/csv', kind: 'SPREADSHEET' },
  ])
})

test('seed B11: dir names the folder', async () => {
  const form = { file: { name: 'b11.txt', bytes: 'x' } }
  const query = `?workspaceId=${drive.id}&dir=${encodeURIComponent('my folder')}`
  expect((await postForm(holdall, form, { query })).body.path).toBe('my folder/b11.txt')
})

test('seed B12: the confirm writes the path into a row, which follows the file', async () => {
  const upload = await createUpload(holdall, { workspaceId: drive.id, name: 'b12.png', size: 3 })
  await sendBytes(holdall, upload, 'png')
  const input = { uploadId: upload.id, linkRow: link({ label: 'twelve' }) }
  const { file } = await act(holdall, 'confirmUpload', input, 'file { id path } row { values }')
  expect(await rowsOf()).toContainEqual(
    expect.objectContaining({ picture: 'drive/image/b12.png', label: 'twelve' }),
  )
  await act(
    holdall,
    'updateEntry',
    { entry: { id: file.id }, name: 'b12-renamed.png' },
    'entry { id }',
  )
  expect(picturesOf(await rowsOf())).toContain('drive/image/b12-renamed.png')
})

test('seed B13: an unknown table or column stores nothing, and the upload can still be confirmed', async () => {
  const upload = await createUpload(holdall, { workspaceId: drive.id, name: 'b13.png', size: 1 })
  await sendBytes(holdall, upload, 'x')
  for (const wrong of [
    { table: 'users', column: 'name' },
    { table: 'scans', column: 'nothing' },
  ]) {
    const input = { uploadId: upload.id, linkRow: wrong }
    expect(await attempt(holdall, 'confirmUpload', input, 'file { id }')).toMatchObject({
      code: 'ROW_REJECTED',
    })
  }
  expect(await entryByPath(holdall, drive.id, 'drive/image/b13.png')).toBeNull()
  const input = { uploadId: upload.id, linkRow: link() }
  expect((await act(holdall, 'confirmUpload', input, 'file { id }')).file.id).toMatch(/^file_/)
})

test('seed B14: deleting by path', async () => {
  await put('b14.txt', { path: 'b14' })
  const entries = [{ entry: { path: { workspaceId: drive.id, path: 'b14/b14.txt' } } }]
  expect((await act(holdall, 'trashEntries', { entries }, 'succeeded')).succeeded).toBe(1)
  expect(await entryByPath(holdall, drive.id, 'b14/b14.txt')).toBeNull()
})

test('seed B15: trashing removes the rows of the path, restoring adds them again', async () => {
  const upload = await createUpload(holdall, { workspaceId: drive.id, name: 'b15.png', size: 1 })
  await sendBytes(holdall, upload, 'x')
  const { file } = await act(
    holdall,
    'confirmUpload',
    { uploadId: upload.id, linkRow: link() },
    'file { id }',
  )
  const unlinkRows = { table: 'scans', column: 'picture' }
  const trashing = { entries: [{ entry: { id: file.id } }], unlinkRows }
  expect((await act(holdall, 'trashEntries', trashing, 'rowsUnlinked')).rowsUnlinked).toBe(1)
  expect(picturesOf(await rowsOf())).not.toContain('drive/image/b15.png')
  const restored = await act(
    holdall,
    'restoreEntries',
    { entries: [{ entry: { id: file.id } }] },
    'rowsRelinked',
  )
  expect(restored.rowsRelinked).toBe(1)
  expect(picturesOf(await rowsOf())).toContain('drive/image/b15.png')
})

test('seed B16: bytes, file and row exist together or not at all', async () => {
  const upload = await createUpload(holdall, { workspaceId: drive.id, name: 'b16.png', size: 1 })
  await sendBytes(holdall, upload, 'x')
  const before = await rowsOf()
  const refused = { uploadId: upload.id, linkRow: link({ label: { not: 'text' } }) }
  expect(await attempt(holdall, 'confirmUpload', refused, 'file { id }')).toMatchObject({
    code: 'ROW_REJECTED',
  })
  expect([await rowsOf(), await entryByPath(holdall, drive.id, 'drive/image/b16.png')]).toEqual([
    before,
    null,
  ])
})

test('seed B17: identifiers are looked up, never executed', async () => {
  const { id } = await put('b17.png')
  const attempts = [
    'scans; DROP TABLE users',
    'entries',
    'apiTokens',
    '"scans"',
    "scans' --",
    'sqlite_master',
  ]
  for (const table of attempts) {
    const linked = await attempt(
      holdall,
      'linkRow',
      { fileId: id, link: { table, column: 'picture' } },
      'row { id }',
    )
    expect(linked.code).toBe('ROW_REJECTED')
    const column = await attempt(
      holdall,
      'linkRow',
      { fileId: id, link: { table: 'scans', column: table } },
      'row { id }',
    )
    expect(column.code).toBe('ROW_REJECTED')
  }
  expect(await holdall.ask('{ viewer { user { name } } }')).toEqual({
    viewer: { user: { name: 'Owner' } },
  })
})

test('seed B19: any name survives every operation', async () => {
  const names = [
    'a b+c.txt',
    '100% sure?.txt',
    'hash#tag.txt',
    `quo"te's.txt`,
    'Ünïcödé 数 🎒.txt',
    'a%2Fb.txt',
    'amp&eq=1.txt',
  ]
  for (const name of names) {
    const { id, path } = await put(name, { path: 'b19' })
    expect(path).toBe(`b19/${name}`)
    expect(await entryByPath(holdall, drive.id, path)).toMatchObject({ id })
    expect(await pathsOf(`pathPrefix: ${JSON.stringify(path)}`)).toEqual([path])
    const query = 'query ($id: ID!) { node(id: $id) { ... on File { downloadUrl { url } } } }'
    const { node } = await holdall.ask(query, { id })
    const response = await holdall.http(node.downloadUrl.url, { token: null })
    expect([response.status, await response.text()]).toEqual([200, name])
  }
})
