import { execFile } from 'node:child_process'
import { createHash, randomBytes } from 'node:crypto'
import { writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { promisify } from 'node:util'
import { expect, test } from 'vitest'
import {
  act,
  createFolder,
  createWorkspace,
  download,
  entryByPath,
  usageOf,
} from '../../support/client.ts'
import { keysOf } from '../../support/data/bytes.ts'
import { createToken, invite } from '../../support/data/people.ts'
import { expectUnchanged } from '../../support/data/refusals.ts'
import { postForm } from '../../support/network/forms.ts'
import { rawRequest, until } from '../../support/network/tus.ts'
import { startTestServer, type TestServer } from '../../support/servers/test-server.ts'

const run = promisify(execFile)
const sha256 = (bytes: string | Uint8Array) => createHash('sha256').update(bytes).digest('hex')

async function open(env: Record<string, string> = {}, workspace: object = {}) {
  const holdall = await startTestServer({ env })
  const { id: workspaceId } = await createWorkspace(holdall, { ...workspace })
  return { holdall, workspaceId, [Symbol.asyncDispose]: () => holdall[Symbol.asyncDispose]() }
}

/** Runs `curl -F …`. Returns the status and the JSON. */
async function curl(holdall: TestServer, ...args: string[]) {
  const always = ['-s', '-w', '\n%{http_code}', '-H', `Authorization: Bearer ${holdall.token}`]
  const { stdout } = await run('curl', [...always, ...args, `${holdall.url}/files`])
  const [body = '', status = ''] = stdout.trimEnd().split(/\n(?=\d+$)/)
  return { status: Number(status), body: JSON.parse(body) }
}

/** A form as raw bytes: the head up to the end of the file, and the end. */
function rawForm(fields: Record<string, string>, bytes: Buffer | string, name = 'a.bin') {
  const lines = Object.entries(fields).map(
    ([field, value]) =>
      `--b\r\nContent-Disposition: form-data; name="${field}"\r\n\r\n${value}\r\n`,
  )
  const file = `--b\r\nContent-Disposition: form-data; name="file"; filename="${name}"\r\n\r\n`
  const head = Buffer.concat([Buffer.from(lines.join('') + file), Buffer.from(bytes)])
  return { head, tail: Buffer.from('\r\n--b--\r\n') }
}
const boundary = { 'Content-Type': 'multipart/form-data; boundary=b' }

const staged = async (holdall: TestServer) => (await keysOf(holdall, 'staged')).length
async function expectNothingLeft(holdall: TestServer, workspaceId: string) {
  await until(async () => (await staged(holdall)) === 0)
  expect(await usageOf(holdall, workspaceId)).toMatchObject({
    reservedBytes: 0,
    currentBytes: 0,
    storedBytes: 0,
    fileCount: 0,
  })
}

test('one curl command creates a file, with fields before or after the file', async () => {
  await using here = await open()
  const { holdall, workspaceId } = here
  const source = join(holdall.dir, 'numbers.csv')
  const bytes = randomBytes(3_000_000)
  await writeFile(source, bytes)
  const fields = ['-F', `workspaceId=${workspaceId}`, '-F', 'path=raw/2025']
  const more = ['-F', 'tags=Plate, raw,,plate', '-F', 'description=First']
  const file = ['-F', `file=@${source};type=text/csv`]
  const orders = [
    [...file, ...fields, ...more, '-F', 'name=1.csv'],
    [...fields, ...more, '-F', 'name=2.csv', ...file],
    [...more, ...file, '-F', 'name=3.csv', ...fields],
  ]
  for (const [i, args] of orders.entries()) {
    const { status, body } = await curl(holdall, ...args)
    expect([status, body]).toEqual([
      201,
      {
        id: expect.stringMatching(/^file_/),
        key: body.id,
        name: `${i + 1}.csv`,
        path: `raw/2025/${i + 1}.csv`,
        size: bytes.length,
        sha256: sha256(bytes),
        mediaType: 'text/csv',
        kind: 'SPREADSHEET',
        description: 'First',
        tags: ['Plate', 'raw'],
        version: { id: expect.stringMatching(/^ver_/), number: 1 },
        createdAt: expect.stringMatching(/Z$/),
        contentModifiedAt: null,
        downloadUrl: expect.stringContaining('/download/ver_'),
      },
    ])
    expect(await entryByPath(holdall, workspaceId, `raw/2025/${i + 1}.csv`)).toMatchObject({
      id: body.id,
    })
    const linked = await holdall.http(body.downloadUrl, { token: null })
    expect(sha256(new Uint8Array(await linked.arrayBuffer()))).toBe(sha256(bytes))
  }
  expect(await staged(holdall)).toBe(0)
  expect(await usageOf(holdall, workspaceId)).toMatchObject({ reservedBytes: 0, fileCount: 3 })
})

test('the response contains the path and URLs of the file', async () => {
  await using here = await open()
  const file = { name: 'a.txt', bytes: 'hello' }
  const { headers, body } = await postForm(here.holdall, { file, workspaceId: here.workspaceId })
  expect(headers.get('location')).toBe(`${here.holdall.url}/download/${body.id}`)
  expect(await (await here.holdall.http(headers.get('location') ?? '')).text()).toBe('hello')
})

test('B19: names of every kind arrive unchanged, from browsers and from curl', async () => {
  await using here = await open()
  const { holdall, workspaceId } = here
  const names = [
    'a b+c#d.txt',
    '50% "off".txt',
    "it's.txt",
    'Größe – 数 🧪.txt',
    '%2F.txt',
    'a;b.txt',
  ]
  for (const name of names) {
    const { body } = await postForm(holdall, { file: { name, bytes: name }, workspaceId })
    expect(body.path).toBe(name)
    const source = join(holdall.dir, name)
    await writeFile(source, name)
    const quoted = `file=@"${source.replace(/["\\]/g, '\\$&')}"`
    const sent = await curl(
      holdall,
      '-F',
      quoted,
      '-F',
      `workspaceId=${workspaceId}`,
      '-F',
      'path=c',
    )
    expect([sent.status, sent.body.name]).toEqual([201, name])
  }
})

test('filename* is UTF-8 and takes precedence; folders in a file name are ignored', async () => {
  await using here = await open()
  const { holdall, workspaceId } = here
  const send = async (params: string) => {
    const part = `--b\r\nContent-Disposition: form-data; name="file"; ${params}\r\n\r\nx\r\n--b--\r\n`
    const query = `?workspaceId=${workspaceId}&onConflict=RENAME`
    const response = await holdall.http(`/files${query}`, {
      method: 'POST',
      headers: boundary,
      body: part,
    })
    return ((await response.json()) as { path: string }).path
  }
  expect(await send(`filename="plain.txt"; filename*=UTF-8''Gr%C3%B6%C3%9Fe.txt`)).toBe('Größe.txt')
  expect(await send('filename="../../etc/passwd"')).toBe('passwd')
  expect(await send('filename="C:\\up\\x.txt"')).toBe('x.txt')
})

test('a file name in Latin-1 is decoded', async () => {
  await using here = await open()
  const { holdall, workspaceId } = here
  const head =
    '--b\r\nContent-Disposition: form-data; name="file"; filename="Gr\xf6\xdfe.txt"\r\n\r\n'
  const response = await holdall.http(`/files?workspaceId=${workspaceId}`, {
    method: 'POST',
    headers: boundary,
    body: Buffer.from(`${head}x\r\n--b--\r\n`, 'latin1'),
  })
  expect(await response.json()).toMatchObject({ path: 'Größe.txt' })
})

test.each([
  "UTF-8''%ff%fe.txt",
  'UTF-8Größe.txt',
  "klingon'en'a.txt",
  '"UTF-8\'\'a.txt"',
  "UTF-8''a b.txt",
  '',
])(
  'a file name in filename* that cannot be decoded gives way to filename: %s',
  async (extended) => {
    await using here = await open()
    const { holdall, workspaceId } = here
    const names = `filename="plain; filename*=x.txt"; filename*=${extended}`
    const body = `--b\r\nContent-Disposition: form-data; name="file"; ${names}\r\nContent-Type: text/plain\r\n\r\nfilename*=x\r\n--b--\r\n`
    const response = await holdall.http(`/files?workspaceId=${workspaceId}`, {
      method: 'POST',
      headers: boundary,
      body,
    })
    expect(await response.json()).toMatchObject({ path: 'plain; filename*=x.txt', size: 11 })
  },
)

test('a file name in filename* that can be decoded counts', async () => {
  await using here = await open()
  const { holdall, workspaceId } = here
  const names = `filename="plain.txt"; filename*=UTF-8''Gr%C3%B6%C3%9Fe.txt`
  const response = await holdall.http(`/files?workspaceId=${workspaceId}`, {
    method: 'POST',
    headers: boundary,
    body: `--b\r\nContent-Disposition: form-data; name="file"; ${names}\r\n\r\nx\r\n--b--\r\n`,
  })
  expect(await response.json()).toMatchObject({ path: 'Größe.txt' })
})

test('query parameters apply where the form has no such field', async () => {
  await using here = await open()
  const { holdall, workspaceId } = here
  const file = { name: 'a.txt', bytes: 'x' }
  const query = `?workspaceId=${workspaceId}&dir=from+query&name=q.txt&tags=one,two`
  const { body } = await postForm(holdall, { file, name: 'field.txt', tags: '' }, { query })
  expect(body).toMatchObject({ path: 'from query/field.txt', tags: ['one', 'two'] })
})

test('folderId, with folders below it; the root by default', async () => {
  await using here = await open({}, { autoFile: true })
  const { holdall, workspaceId } = here
  const box = await createFolder(holdall, { workspaceId, name: 'Box' })
  const file = { name: 'a.png', bytes: 'x' }
  const put = async (more: Record<string, string>) =>
    (await postForm(holdall, { file, workspaceId, ...more })).body.path
  expect(await put({ folderId: box.id })).toBe('Box/a.png')
  expect(await put({ folderId: box.id, path: 'below/it/' })).toBe('Box/below/it/a.png')
  expect(await put({ folderId: 'root' })).toBe('a.png')
  expect(await put({})).toBe('drive/image/a.png')
})

test('a token bound to a workspace need not name it', async () => {
  await using here = await open()
  const { token } = await invite(here.holdall, here.workspaceId)
  const { status } = await postForm(here.holdall, { file: { name: 'a', bytes: 'x' } }, { token })
  expect(status).toBe(201)
})

test('an empty file is a file', async () => {
  await using here = await open()
  const file = { name: 'empty', bytes: '' }
  const { status, body } = await postForm(here.holdall, { file, workspaceId: here.workspaceId })
  expect([status, body.size, body.sha256]).toEqual([201, 0, sha256('')])
})

test('onConflict decides on a name conflict', async () => {
  await using here = await open()
  const { holdall, workspaceId } = here
  const put = (bytes: string, more: Record<string, string> = {}) =>
    postForm(holdall, { file: { name: 'a.txt', bytes }, workspaceId, ...more })
  const first = await put('one')
  expect(await put('two')).toMatchObject({ status: 409, body: { code: 'NAME_CONFLICT' } })
  expect((await put('two', { onConflict: 'RENAME' })).body.path).toBe('a (2).txt')
  const version = await put('three', { onConflict: 'NEW_VERSION' })
  expect(version.body).toMatchObject({ id: first.body.id, version: { number: 2 } })
  expect((await put('four', { onConflict: 'SOMETIMES' })).status).toBe(400)
  expect((await download(holdall, first.body.id)).toString()).toBe('three')
})

test('sha256: matching bytes are accepted, others leave nothing behind', async () => {
  await using here = await open()
  const { holdall, workspaceId } = here
  const file = { name: 'a.txt', bytes: 'hello' }
  const wrong = await postForm(holdall, { file, workspaceId, sha256: sha256('hallo') })
  expect(wrong).toMatchObject({ status: 460, body: { code: 'CHECKSUM_MISMATCH' } })
  await expectNothingLeft(holdall, workspaceId)
  expect((await postForm(holdall, { file, workspaceId, sha256: sha256('hello') })).status).toBe(201)
})

test('forbidden requests are refused before any byte is stored', async () => {
  await using here = await open()
  const { holdall, workspaceId } = here
  const file = { name: 'a.txt', bytes: 'x' }
  const foreign = await createWorkspace(holdall)
  const viewer = await invite(holdall, workspaceId, 'VIEWER')
  const reader = await createToken(holdall, { scopes: ['FILES_READ'] })
  const as = async (token: string | null, named = workspaceId) => {
    const { status, body } = await postForm(holdall, { file, workspaceId: named }, { token })
    return [status, body.code]
  }
  await expectUnchanged(holdall, async () => {
    expect(await as(null)).toEqual([401, 'UNAUTHENTICATED'])
    expect(await as('hld_wrong')).toEqual([401, 'UNAUTHENTICATED'])
    expect(await as(viewer.token)).toEqual([403, 'FORBIDDEN'])
    expect(await as(reader.secret)).toEqual([403, 'FORBIDDEN'])
    expect(await as(viewer.token, foreign.id)).toEqual([404, 'NOT_FOUND'])
    expect(await as(holdall.token, 'ws_unknown')).toEqual([404, 'NOT_FOUND'])
  })
})

test('an invalid form is rejected, and leaves nothing behind', async () => {
  await using here = await open()
  const { holdall, workspaceId } = here
  const file = { name: 'a.txt', bytes: 'x' }
  const errorFor = async (more: Record<string, string>) => {
    const { status, body } = await postForm(holdall, { file, workspaceId, ...more })
    return [status, body.code, body.path]
  }
  expect(await errorFor({ path: '../up' })).toEqual([400, 'INVALID_INPUT', ['path']])
  expect(await errorFor({ name: 'a/b' })).toEqual([400, 'INVALID_INPUT', ['name']])
  expect(await errorFor({ folderId: 'fld_unknown' })).toEqual([404, 'NOT_FOUND', undefined])
  expect(await errorFor({ tags: 'x'.repeat(65) })).toEqual([400, 'INVALID_INPUT', ['tags']])
  expect(await errorFor({ description: 'x'.repeat(70_000) })).toEqual([
    400,
    'BAD_REQUEST',
    undefined,
  ])
  const raw = async (body: string, headers: Record<string, string> = boundary) => {
    const query = `?workspaceId=${workspaceId}`
    return (await holdall.http(`/files${query}`, { method: 'POST', headers, body })).status
  }
  expect(await raw('{}', { 'Content-Type': 'application/json' })).toBe(415)
  expect(await raw('x', { 'Content-Type': 'multipart/form-data' })).toBe(400)
  expect(await raw('no parts at all')).toBe(400)
  const { head, tail } = rawForm({}, 'x')
  expect(await raw(`${head}`)).toBe(400)
  expect(await raw(`${head}\r\n${head}${tail}`)).toBe(409)
  expect(await raw(`${head}${tail}`.replace('name="file"', 'name="data"'))).toBe(400)
  expect((await postForm(holdall, { workspaceId })).body.message).toContain('`file`')
  expect((await postForm(holdall, { file })).body).toMatchObject({ path: ['workspaceId'] })
  expect((await holdall.http('/files')).status).toBe(405)
  await expectNothingLeft(holdall, workspaceId)
})

test('A8: the maximum size is accepted; a byte more is 413 before the form has ended, and names the alternative', async () => {
  await using here = await open({ MAX_FORM_BYTES: '1000000' })
  const { holdall, workspaceId } = here
  const bytes = randomBytes(1_000_001)
  const most = { name: 'most', bytes: bytes.subarray(1) }
  expect((await postForm(holdall, { file: most, workspaceId })).status).toBe(201)
  for (const before of [{ workspaceId }, {}] as Record<string, string>[]) {
    const { head } = rawForm(before, bytes)
    const headers = { ...boundary, 'Content-Length': String(head.length + 500_000) }
    const raw = await rawRequest(holdall, 'POST', '/files', headers)
    await raw.write(head)
    const { status, headers: received } = await raw.answer()
    expect([status, received.get('connection')]).toEqual([413, 'close'])
    expect(raw.received).toContain('createUpload')
  }
  await until(async () => (await staged(holdall)) === 0)
  expect(await usageOf(holdall, workspaceId)).toMatchObject({ reservedBytes: 0, fileCount: 1 })
})

test('a declared size above the maximum is refused before the first byte', async () => {
  await using here = await open()
  const headers = { ...boundary, 'Content-Length': '600000000' }
  const raw = await rawRequest(here.holdall, 'POST', '/files', headers)
  expect((await raw.answer()).status).toBe(413)
})

test('a client that keeps sending receives the error', async () => {
  await using here = await open({ MAX_FORM_BYTES: '1000' })
  const { holdall, workspaceId } = here
  const source = join(holdall.dir, 'large')
  await writeFile(source, Buffer.alloc(20_000_000))
  const sent = await curl(
    holdall,
    '-H',
    'Expect:',
    '-F',
    `file=@${source}`,
    '-F',
    `workspaceId=${workspaceId}`,
  )
  expect([sent.status, sent.body.code]).toEqual([413, 'FILE_TOO_LARGE'])
})

test('room is reserved while the bytes arrive, if the workspace is already known', async () => {
  await using here = await open()
  const { holdall, workspaceId } = here
  const bytes = randomBytes(4_000_000)
  const { head, tail } = rawForm({ workspaceId }, bytes)
  const length = String(head.length + tail.length)
  const raw = await rawRequest(holdall, 'POST', '/files', { ...boundary, 'Content-Length': length })
  await raw.write(head.subarray(0, 2_000_000))
  await until(async () => (await usageOf(holdall, workspaceId)).reservedBytes > 2_900_000)
  const query = `query ($id: ID!) { workspace(by: { id: $id }) { uploads { nodes { status transport url } } } }`
  const { workspace } = await holdall.ask(query, { id: workspaceId })
  expect(workspace.uploads.nodes).toEqual([
    { status: 'CREATED', transport: 'FORM', url: `${holdall.url}/files` },
  ])
  await raw.write(head.subarray(2_000_000))
  await raw.write(tail)
  expect((await raw.answer()).status).toBe(201)
  expect(await usageOf(holdall, workspaceId)).toMatchObject({
    reservedBytes: 0,
    currentBytes: bytes.length,
  })
})

test('an interrupted form leaves nothing behind', async () => {
  await using here = await open()
  const { holdall, workspaceId } = here
  for (const before of [{ workspaceId }, {}] as Record<string, string>[]) {
    const { head } = rawForm(before, randomBytes(3_000_000))
    const headers = { ...boundary, 'Content-Length': '10000000' }
    const raw = await rawRequest(holdall, 'POST', '/files', headers)
    await raw.write(head)
    await until(async () => (await staged(holdall)) === 1)
    raw.socket.destroy()
    await expectNothingLeft(holdall, workspaceId)
  }
})

test('507: a full workspace refuses a form before its bytes, or when their number is known', async () => {
  await using here = await open({}, { quotaBytes: 1_500_000 })
  const { holdall, workspaceId } = here
  const headers = { ...boundary, 'Content-Length': '5000000' }
  const raw = await rawRequest(holdall, 'POST', `/files`, headers)
  await raw.write(rawForm({ workspaceId }, 'first bytes').head)
  const { status } = await raw.answer()
  const left = 'but 1500000 bytes of the quota of the workspace are left'
  expect([status, raw.received]).toEqual([
    507,
    expect.stringContaining(`at least 4000000 bytes are needed, ${left}: delete files`),
  ])
  const file = { name: 'a', bytes: randomBytes(1_600_000) }
  const late = await postForm(holdall, { file, workspaceId })
  expect(late).toMatchObject({ status: 507, body: { code: 'QUOTA_EXCEEDED' } })
  expect(late.body.message).toContain(`1600000 bytes are needed, ${left}`)
  await expectNothingLeft(holdall, workspaceId)
  const exact = { name: 'a', bytes: randomBytes(1_500_000) }
  expect((await postForm(holdall, { file: exact, workspaceId })).status).toBe(201)
})

test('B12, B13: db_commit writes the path into a row; an unknown column stores nothing', async () => {
  await using here = await open()
  const { holdall, workspaceId } = here
  const columns = [{ name: 'picture', type: 'FILE_PATH' }]
  await act(holdall, 'createTable', { workspaceId, name: 'scans', columns }, '__typename')
  const file = { name: 'a.png', bytes: 'x' }
  const send = (row: string) =>
    postForm(
      holdall,
      { file },
      { query: `?workspaceId=${workspaceId}&dir=in&db_commit=True${row}` },
    )
  expect((await send('&table_name=scans')).body.path).toEqual(['column_name'])
  expect((await send('&table_name=scans&column_name=nothing')).status).toBe(422)
  expect((await send('&table_name=users&column_name=name')).status).toBe(422)
  await expectNothingLeft(holdall, workspaceId)
  expect((await send('&table_name=scans&column_name=picture')).status).toBe(201)
  const query = `query ($id: ID!) { workspace(by: { id: $id }) { table(name: "scans") { rows { nodes { values } } } } }`
  const { workspace } = await holdall.ask(query, { id: workspaceId })
  expect(workspace.table.rows.nodes).toMatchObject([{ values: { picture: 'in/a.png' } }])
})

test('the upload of a form is not accessible otherwise, and ends with the form', async () => {
  await using here = await open()
  const { holdall, workspaceId } = here
  const { head, tail } = rawForm({ workspaceId }, 'hello')
  const length = String(head.length + tail.length)
  const raw = await rawRequest(holdall, 'POST', '/files', { ...boundary, 'Content-Length': length })
  await raw.write(head)
  const list = `query ($id: ID!) { workspace(by: { id: $id }) { uploads { nodes { id } } } }`
  const ids = async () => (await holdall.ask(list, { id: workspaceId })).workspace.uploads.nodes
  await until(async () => (await ids()).length === 1)
  const [{ id }] = await ids()
  await act(holdall, 'cancelUpload', { uploadId: id }, '__typename')
  await raw.write(tail)
  expect((await raw.answer()).status).toBe(409)
  await expectNothingLeft(holdall, workspaceId)
})

test('S25, S34: a form with two errors, in a header and at its end, is answered 400, and the server continues', async () => {
  await using here = await open()
  const { holdall } = here
  for (const part of [
    'broken',
    'Content-Disposition: form-data; name="file"\r\nbroken',
    ':',
    '\0',
  ]) {
    const body = `--b\r\n${part}\r\n\r\nhello`
    const response = await holdall.http('/files', { method: 'POST', headers: boundary, body })
    expect([part, response.status]).toEqual([part, 400])
  }
  expect((await holdall.http('/readyz')).status).toBe(200)
})
