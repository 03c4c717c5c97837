import { createHash, randomBytes } from 'node:crypto'
import { expect, test } from 'vitest'
import { act, createWorkspace, usageOf } from '../../support/client.ts'
import { keysOf } from '../../support/data/bytes.ts'
import { rawRequest, until } from '../../support/network/tus.ts'
import { startTestServer, type TestServer } from '../../support/servers/test-server.ts'

const sha256 = (bytes: string | Uint8Array) => createHash('sha256').update(bytes).digest('hex')

async function open(env: Record<string, string> = {}, workspace: object = {}) {
  const holdall = await startTestServer({ env })
  const { id: workspaceId } = await createWorkspace(holdall, { ...workspace })
  return { holdall, workspaceId, [Symbol.asyncDispose]: () => holdall[Symbol.asyncDispose]() }
}

type File = { name: string; bytes: string | Uint8Array }

/** Sends several files as Uppy does with `bundle: true`: the fields first, then all files as `files[]`. */
async function sendFiles(
  holdall: TestServer,
  fields: Record<string, string>,
  files: File[],
  name = 'files[]',
) {
  const body = new FormData()
  for (const [field, value] of Object.entries(fields)) body.append(field, value)
  for (const file of files) body.append(name, new Blob([file.bytes as BlobPart]), file.name)
  const response = await holdall.http('/files', { method: 'POST', body })
  return { status: response.status, body: (await response.json()) as any }
}

/** Sends a form of raw parts, each with its headers and its bytes. */
async function sendParts(holdall: TestServer, query: string, parts: [string, string][]) {
  const lines = parts.map(([headers, bytes]) => `--b\r\n${headers}\r\n\r\n${bytes}\r\n`)
  const response = await holdall.http(`/files?${query}`, {
    method: 'POST',
    headers: { 'Content-Type': 'multipart/form-data; boundary=b' },
    body: `${lines.join('')}--b--\r\n`,
  })
  return { status: response.status, body: (await response.json()) as any }
}

const disposition = (params: string) => `Content-Disposition: form-data; ${params}`
const octets = 'Content-Type: application/octet-stream'
const unchosen = `${disposition('name="file"; filename=""')}\r\n${octets}`

async function expectNothingLeft(holdall: TestServer, workspaceId: string) {
  await until(async () => (await keysOf(holdall, 'staged')).length === 0)
  expect(await usageOf(holdall, workspaceId)).toMatchObject({
    reservedBytes: 0,
    storedBytes: 0,
    fileCount: 0,
  })
}

test('several files of one form become files, and are answered in their order', async () => {
  await using here = await open()
  const { holdall, workspaceId } = here
  const large = randomBytes(3_000_000)
  const files = [
    { name: 'a.txt', bytes: 'one' },
    { name: 'large.bin', bytes: large },
    { name: 'empty', bytes: '' },
    { name: 'b.txt', bytes: 'two' },
  ]
  for (const [path, field] of ['files[]', 'file', 'files', 'file[]'].entries()) {
    const fields = { workspaceId, path: `in/${path}`, tags: 'raw' }
    const { status, body } = await sendFiles(holdall, fields, files, field)
    expect([status, body]).toMatchObject([
      201,
      files.map(({ name, bytes }) => ({
        path: `in/${path}/${name}`,
        size: bytes.length,
        sha256: sha256(bytes),
        tags: ['raw'],
      })),
    ])
    const linked = await holdall.http(body[1].downloadUrl, { token: null })
    expect(sha256(new Uint8Array(await linked.arrayBuffer()))).toBe(sha256(large))
  }
  expect(await keysOf(holdall, 'staged')).toEqual([])
  expect(await usageOf(holdall, workspaceId)).toMatchObject({ reservedBytes: 0, fileCount: 16 })
})

test('one file under the name of several is answered as one', async () => {
  await using here = await open()
  const { holdall, workspaceId } = here
  const { status, body } = await sendFiles(holdall, { workspaceId }, [{ name: 'a', bytes: 'x' }])
  expect([status, body.path]).toEqual([201, 'a'])
})

test('if one of several files is refused, none is created, and the error names its position', async () => {
  await using here = await open()
  const { holdall, workspaceId } = here
  const bytes = 'x'
  const send = (names: string[], fields: Record<string, string> = {}) =>
    sendFiles(
      holdall,
      { workspaceId, ...fields },
      names.map((name) => ({ name, bytes })),
    )
  const refused = async (names: string[], fields: Record<string, string> = {}) => {
    const { status, body } = await send(names, fields)
    await expectNothingLeft(holdall, workspaceId)
    return [status, body.code, body.path]
  }
  expect(await refused(['a', 'b', 'a'])).toEqual([409, 'NAME_CONFLICT', ['file', '2']])
  expect(await refused(['a', `${'x'.repeat(256)}`])).toEqual([
    400,
    'INVALID_INPUT',
    ['file', '1', 'name'],
  ])
  expect(await refused(['a', 'b'], { name: 'c' })).toEqual([400, 'INVALID_INPUT', ['name']])
  expect(await refused(['a', 'b'], { sha256: sha256('x') })).toEqual([
    400,
    'INVALID_INPUT',
    ['sha256'],
  ])
  expect(await refused(['a', 'b'], { folderId: 'fld_unknown' })).toContain('NOT_FOUND')
  const renamed = await send(['a', 'a'], { onConflict: 'RENAME' })
  expect(renamed.body.map(({ path }: { path: string }) => path)).toEqual(['a', 'a (2)'])
  expect((await send(['b', 'a'])).body).toMatchObject({
    code: 'NAME_CONFLICT',
    path: ['file', '1'],
  })
  expect(await usageOf(holdall, workspaceId)).toMatchObject({ reservedBytes: 0, fileCount: 2 })
})

test('a form has at most 100 files, and MAX_FORM_BYTES limits their sum', async () => {
  await using here = await open({ MAX_FORM_BYTES: '3000000' })
  const { holdall, workspaceId } = here
  const many = (count: number, bytes: string | Uint8Array) =>
    Array.from({ length: count }, (_, i) => ({ name: `f${i}`, bytes }))
  const crowd = await sendFiles(holdall, { workspaceId }, many(101, 'x'))
  expect([crowd.status, crowd.body.message]).toEqual([
    400,
    'malformed form: too many files (limit 100)',
  ])
  const heavy = await sendFiles(holdall, { workspaceId }, many(4, randomBytes(800_000)))
  expect([heavy.status, heavy.body.code]).toEqual([413, 'FILE_TOO_LARGE'])
  await expectNothingLeft(holdall, workspaceId)
  const most = await sendFiles(holdall, { workspaceId }, many(100, randomBytes(30_000)))
  expect([most.status, most.body.length]).toEqual([201, 100])
})

test('the quota counts several files once: their sum may fill the workspace', async () => {
  await using here = await open({}, { quotaBytes: 6_000_000 })
  const { holdall, workspaceId } = here
  const bytes = randomBytes(2_000_000)
  const files = ['a', 'b', 'c'].map((name) => ({ name, bytes }))
  const over = await sendFiles(holdall, { workspaceId }, [...files, { name: 'd', bytes: 'x' }])
  expect([over.status, over.body.code]).toEqual([507, 'QUOTA_EXCEEDED'])
  await expectNothingLeft(holdall, workspaceId)
  expect((await sendFiles(holdall, { workspaceId }, files)).status).toBe(201)
  expect(await usageOf(holdall, workspaceId)).toMatchObject({ reservedBytes: 0, fileCount: 3 })
})

test('the workspace may follow several files', async () => {
  await using here = await open()
  const { holdall, workspaceId } = here
  const { status, body } = await sendParts(holdall, '', [
    [disposition('name="files[]"; filename="a"'), 'one'],
    [disposition('name="files[]"; filename="b"'), 'two'],
    [disposition('name="workspaceId"'), workspaceId],
  ])
  expect([status, body]).toMatchObject([201, [{ path: 'a' }, { path: 'b' }]])
  expect(await usageOf(holdall, workspaceId)).toMatchObject({ reservedBytes: 0, fileCount: 2 })
})

test('db_commit writes a row for each file', async () => {
  await using here = await open()
  const { holdall, workspaceId } = here
  const columns = [{ name: 'picture', type: 'FILE_PATH' }]
  await act(holdall, 'createTable', { workspaceId, name: 'scans', columns }, '__typename')
  const fields = { workspaceId, db_commit: 'true', table_name: 'scans', column_name: 'picture' }
  const files = ['a', 'b'].map((name) => ({ name, bytes: name }))
  expect((await sendFiles(holdall, fields, files)).status).toBe(201)
  const query = `query ($id: ID!) { workspace(by: { id: $id }) { table(name: "scans") { rows { nodes { values } } } } }`
  const { workspace } = await holdall.ask(query, { id: workspaceId })
  expect(workspace.table.rows.nodes).toMatchObject([
    { values: { picture: 'a' } },
    { values: { picture: 'b' } },
  ])
})

test('a form that breaks off between its files leaves nothing behind', async () => {
  await using here = await open()
  const { holdall, workspaceId } = here
  for (const query of [`?workspaceId=${workspaceId}`, '']) {
    const raw = await rawRequest(holdall, 'POST', `/files${query}`, {
      'Content-Type': 'multipart/form-data; boundary=b',
      'Content-Length': '10000000',
    })
    for (const name of ['a', 'b', 'c']) {
      const head = `--b\r\n${disposition(`name="file"; filename="${name}"`)}\r\n\r\n`
      await raw.write(Buffer.concat([Buffer.from(head), randomBytes(200_000), Buffer.from('\r\n')]))
    }
    await until(async () => (await keysOf(holdall, 'staged')).length === 3)
    raw.socket.destroy()
    await expectNothingLeft(holdall, workspaceId)
  }
})

test('a form in which no file was chosen is 400, and says so', async () => {
  await using here = await open()
  const { holdall, workspaceId } = here
  const query = `workspaceId=${workspaceId}`
  const named = disposition('name="name"')
  const forms: [string, string][][] = [
    [[unchosen, '']],
    [
      [unchosen, ''],
      [unchosen, ''],
    ],
    [
      [named, 'report.txt'],
      [unchosen, ''],
    ],
    [[disposition('name="file"; filename=""'), '']],
    [[`${disposition('name="file"')}\r\n${octets}`, '']],
  ]
  for (const parts of forms) {
    const { status, body } = await sendParts(holdall, query, parts)
    expect([status, body]).toEqual([
      400,
      {
        code: 'INVALID_INPUT',
        message: 'file: no file was chosen; choose a file and send it again',
        path: ['file'],
      },
    ])
  }
  await expectNothingLeft(holdall, workspaceId)
})

test('an input without a file beside one with a file is ignored', async () => {
  await using here = await open()
  const { holdall, workspaceId } = here
  const chosen = disposition('name="file"; filename="a.txt"')
  const { status, body } = await sendParts(holdall, `workspaceId=${workspaceId}`, [
    [unchosen, ''],
    [chosen, 'hello'],
    [unchosen, ''],
  ])
  expect([status, body.path]).toEqual([201, 'a.txt'])
})

test('bytes without a file name are a file', async () => {
  await using here = await open()
  const { holdall, workspaceId } = here
  for (const bytes of ['x', 'x'.repeat(1_000_000)]) {
    const parts: [string, string][] = [[unchosen, bytes]]
    const { status, body } = await sendParts(holdall, `workspaceId=${workspaceId}`, parts)
    expect([status, body.size, body.sha256]).toEqual([201, bytes.length, sha256(bytes)])
  }
})
