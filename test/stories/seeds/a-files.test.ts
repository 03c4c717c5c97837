import { createHash } from 'node:crypto'
import { afterAll, beforeAll, expect, test } from 'vitest'
import {
  attempt,
  confirmUpload,
  createFolder,
  createUpload,
  createWorkspace,
  download,
  downloadUrl,
  sendBytes,
  uploadFile,
  type WorkspaceHandle,
} from '../../support/client.ts'
import { createToken, invite } from '../../support/data/people.ts'
import { postForm } from '../../support/network/forms.ts'
import { startTestServer, type TestServer } from '../../support/servers/test-server.ts'

// The rows of the first seed: files of a workspace, uploaded in one request or in three, listed by
// prefix.

let holdall: TestServer
let lab: WorkspaceHandle
let elsewhere: WorkspaceHandle
let now = Date.now()
beforeAll(async () => {
  holdall = await startTestServer({ now: () => now })
  lab = await createWorkspace(holdall, { name: 'Lab' })
  elsewhere = await createWorkspace(holdall, { name: 'Elsewhere' })
})
afterAll(() => holdall[Symbol.asyncDispose]())

const listed = async (args = '', fields = 'path') => {
  const query = `query ($id: ID!) { workspace(by: { id: $id }) { entries${args} { totalCount nodes { ${fields} } } } }`
  return (await holdall.ask(query, { id: lab.id })).workspace.entries
}
const pathsUnder = async (prefix: string) => {
  const { nodes } = await listed(`(filter: { pathPrefix: ${JSON.stringify(prefix)}, type: FILE })`)
  return nodes.map(({ path }: { path: string }) => path).sort()
}
const put = (path: string, bytes: string | Uint8Array = path) => {
  const slash = path.lastIndexOf('/')
  const folder = path.slice(0, Math.max(slash, 0))
  return uploadFile(holdall, {
    workspaceId: lab.id,
    path: folder,
    name: path.slice(slash + 1),
    bytes,
  })
}
const sha256 = (bytes: string | Uint8Array) => createHash('sha256').update(bytes).digest('hex')

test('seed A1: every endpoint needs its scope', async () => {
  const { secret } = await createToken(holdall, { scopes: ['FILES_READ'] })
  const input = { workspaceId: lab.id, name: 'a1.txt', size: 1 }
  const refused = await attempt(holdall, 'createUpload', input, 'upload { id }', { token: secret })
  expect(refused).toMatchObject({
    __typename: 'ForbiddenError',
    message: expect.stringContaining('FILES_WRITE'),
  })
  const form = await postForm(
    holdall,
    { file: { name: 'a1.txt', bytes: 'x' }, workspaceId: lab.id },
    { token: secret },
  )
  expect(form.status).toBe(403)
})

test('seed A2: a workspace is required, and a foreign one does not exist', async () => {
  expect((await holdall.graphql('{ workspace { name } }')).status).toBe(400)
  const { token } = await invite(holdall, elsewhere.id)
  const query = 'query ($id: ID!) { workspace(by: { id: $id }) { name } }'
  expect(await holdall.ask(query, { id: lab.id }, { token })).toEqual({ workspace: null })
})

test('seed A3: a prefix is literal and reaches any depth', async () => {
  await put('results/a.csv')
  await put('results/2025/deep/b.csv')
  await put('results2/c.csv')
  expect(await pathsUnder('results/')).toEqual(['results/2025/deep/b.csv', 'results/a.csv'])
  expect(await pathsUnder('results')).toHaveLength(3)
  expect(await pathsUnder('res%ts/')).toEqual([])
})

test('seed A4: 1 to 100 items are accepted at once', async () => {
  const many = await createFolder(holdall, { workspaceId: lab.id, name: 'many' })
  for (let i = 0; i < 101; i++)
    await createFolder(holdall, { folder: { id: many.id }, name: `f${i}` })
  const within = `filter: { within: "${many.id}" }`
  const { totalCount, nodes } = await listed(`(${within})`)
  expect([totalCount, nodes.length]).toEqual([101, 100])
  for (const first of [0, -1, 101])
    await expect(listed(`(${within}, first: ${first})`)).rejects.toThrow('1 to 100')
})

test('seed A5: a listing is metadata, links are created on request', async () => {
  const { nodes } = await listed(
    '(filter: { pathPrefix: "results/a" })',
    'id name ... on File { size }',
  )
  expect(nodes).toEqual([{ id: expect.stringMatching(/^file_/), name: 'a.csv', size: 13 }])
})

test('seed A6: an entry has name, size and a stable key', async () => {
  const file = await put('a6/kept.bin', Buffer.alloc(7))
  expect(file).toMatchObject({ name: 'kept.bin', size: 7, id: expect.stringMatching(/^file_/) })
  await attempt(
    holdall,
    'updateEntry',
    { entry: { id: file.id }, name: 'renamed.bin' },
    'entry { id }',
  )
  const { node } = await holdall.ask(
    'query ($id: ID!) { node(id: $id) { ... on File { id path } } }',
    { id: file.id },
  )
  expect(node).toEqual({ id: file.id, path: 'a6/renamed.bin' })
})

test('seed A7: one form creates a file', async () => {
  const form = {
    file: { name: 'a7.txt', bytes: 'seven' },
    workspaceId: lab.id,
    path: 'forms/',
    description: 'By form',
    tags: 'x, y',
  }
  const { status, body } = await postForm(holdall, form)
  expect([status, body]).toMatchObject([
    201,
    { path: 'forms/a7.txt', size: 5, description: 'By form' },
  ])
  expect((await download(holdall, body.id)).toString()).toBe('seven')
  expect((await postForm(holdall, { workspaceId: lab.id })).status).toBe(400)
})

test('seed A8: a form has a maximum size, and its error names the alternative', async () => {
  await using small = await startTestServer({ env: { MAX_FORM_BYTES: '1000' } })
  const { id: workspaceId } = await createWorkspace(small)
  const fits = await postForm(small, {
    file: { name: 'a', bytes: Buffer.alloc(1000) },
    workspaceId,
  })
  const over = await postForm(small, {
    file: { name: 'b', bytes: Buffer.alloc(1001) },
    workspaceId,
  })
  expect([fits.status, over.status]).toEqual([201, 413])
  expect(over.body.message).toContain('createUpload')
})

test('seed A9: a read-only viewer cannot write', async () => {
  const { token } = await invite(holdall, lab.id, 'VIEWER')
  const form = { file: { name: 'a9.txt', bytes: 'x' }, workspaceId: lab.id }
  expect((await postForm(holdall, form, { token })).status).toBe(403)
})

test('seed A10: parent folders are created once; invalid paths are rejected', async () => {
  await Promise.all(['1', '2', '3', '4', '5'].map((name) => put(`raw/plates/${name}`)))
  const { nodes } = await listed('(filter: { pathPrefix: "raw", type: FOLDER })')
  expect(nodes.map(({ path }: { path: string }) => path).sort()).toEqual(['raw', 'raw/plates'])
  for (const path of ['../up', 'a//b', '/abs', 'a/./b']) {
    const input = { workspaceId: lab.id, path, name: 'x', size: 1 }
    expect(await attempt(holdall, 'createUpload', input, 'upload { id }')).toMatchObject({
      code: 'INVALID_INPUT',
      path: ['path'],
    })
  }
})

test('seed A11: a description is stored and found', async () => {
  const name = 'a11.txt'
  await uploadFile(holdall, {
    workspaceId: lab.id,
    name,
    bytes: 'x',
    description: 'Zebrafish embryos',
  })
  const query =
    'query ($id: ID!) { workspace(by: { id: $id }) { search(query: "zebrafish", first: 5) { nodes { name description } } } }'
  const { workspace } = await holdall.ask(query, { id: lab.id })
  expect(workspace.search.nodes).toEqual([{ name, description: 'Zebrafish embryos' }])
})

test('seed A12: a new key works at once', async () => {
  const { id } = await put('a12.txt', 'now')
  expect((await download(holdall, id)).toString()).toBe('now')
})

test('seed A13: a download link is valid for an hour', async () => {
  const { id } = await put('a13.txt', 'soon')
  const query =
    'query ($id: ID!) { node(id: $id) { ... on File { downloadUrl { url expiresAt } } } }'
  const { url, expiresAt } = (await holdall.ask(query, { id })).node.downloadUrl
  expect(Date.parse(expiresAt) - now).toBe(3_600_000)
  now += 3_599_000
  expect((await holdall.http(url, { token: null })).status).toBe(200)
  now += 2_000
  const late = await holdall.http(url, { token: null })
  expect([late.status, await late.json()]).toMatchObject([403, { code: 'URL_EXPIRED' }])
})

test('seed A14: a key of another workspace does not exist', async () => {
  const { id } = await put('a14.txt')
  const { token } = await invite(holdall, elsewhere.id)
  expect(await holdall.ask('query ($id: ID!) { node(id: $id) { id } }', { id }, { token })).toEqual(
    {
      node: null,
    },
  )
  expect((await holdall.http(`/download/${id}`, { token })).status).toBe(404)
})

test('seed A15: the link is sufficient for GET, HEAD and Range', async () => {
  const { id } = await put('a15.txt', '0123456789')
  const url = await downloadUrl(holdall, id)
  const head = await holdall.http(url, { method: 'HEAD', token: null })
  expect([head.status, head.headers.get('content-length')]).toEqual([200, '10'])
  const range = await holdall.http(url, { token: null, headers: { range: 'bytes=2-4' } })
  expect([range.status, await range.text()]).toEqual([206, '234'])
  expect((await holdall.http(url.replace('attachment', 'inline'), { token: null })).status).toBe(
    403,
  )
})

test('seed A16: a download can be resumed and verified', async () => {
  const bytes = Buffer.alloc(100_000, 'abcdefg')
  const { id } = await put('a16.bin', bytes)
  const url = await downloadUrl(holdall, id)
  const first = await holdall.http(url, { token: null, headers: { range: 'bytes=0-59999' } })
  const etag = first.headers.get('etag') ?? ''
  const rest = await holdall.http(url, {
    token: null,
    headers: { range: 'bytes=60000-', 'if-range': etag },
  })
  const whole = Buffer.concat([
    Buffer.from(await first.arrayBuffer()),
    Buffer.from(await rest.arrayBuffer()),
  ])
  expect(`"${sha256(whole)}"`).toBe(etag)
})

test('seed A17: deletion has two steps, by id or path, each with its scope', async () => {
  const { id } = await put('a17.txt')
  const entries = [{ entry: { path: { workspaceId: lab.id, path: 'a17.txt' } } }]
  expect((await attempt(holdall, 'trashEntries', { entries }, 'succeeded')).succeeded).toBe(1)
  const { secret: token } = await createToken(holdall, { scopes: ['FILES_READ', 'FILES_WRITE'] })
  const purge = (as = {}) =>
    attempt(
      holdall,
      'purgeEntries',
      { entries: [{ entry: { id: id } }] },
      'succeeded results { error { code } }',
      as,
    )
  expect((await purge({ token })).results).toEqual([{ error: { code: 'FORBIDDEN' } }])
  expect((await purge()).succeeded).toBe(1)
})

test('seed A19: createUpload checks, reserves and returns a URL', async () => {
  const input = {
    workspaceId: lab.id,
    path: 'bam',
    name: 'genome.bam',
    mediaType: 'application/octet-stream',
    size: 5000,
  }
  const { upload } = await attempt(
    holdall,
    'createUpload',
    input,
    'upload { id url expiresAt path size status }',
  )
  expect(upload).toMatchObject({ path: 'bam/genome.bam', size: 5000, status: 'CREATED' })
  expect(Date.parse(upload.expiresAt) - now).toBe(24 * 3_600_000)
  await attempt(holdall, 'cancelUpload', { uploadId: upload.id }, 'upload { status }')
})

test('seed A20: the bytes go to the URL, not through GraphQL', async () => {
  const upload = await createUpload(holdall, { workspaceId: lab.id, name: 'a20.bin', size: 6 })
  expect(await sendBytes(holdall, upload, 'abc')).toBe(3)
  expect(await sendBytes(holdall, upload, 'def', 3)).toBe(6)
  await confirmUpload(holdall, { uploadId: upload.id })
})

test('seed A21: the confirm checks size and sha256 again', async () => {
  const upload = await createUpload(holdall, { workspaceId: lab.id, name: 'a21.bin', size: 3 })
  await sendBytes(holdall, upload, 'abc')
  const confirm = (more: object) =>
    attempt(holdall, 'confirmUpload', { uploadId: upload.id, ...more }, 'file { id }')
  expect(await confirm({ size: 4 })).toMatchObject({ code: 'SIZE_MISMATCH' })
  expect(await confirm({ sha256: sha256('abd') })).toMatchObject({ code: 'CHECKSUM_MISMATCH' })
  expect((await confirm({ size: 3, sha256: sha256('abc') })).file.id).toMatch(/^file_/)
})

test('seed A22: the file exists after the confirm', async () => {
  const usage = async () => {
    const query =
      'query ($id: ID!) { workspace(by: { id: $id }) { usage { reservedBytes fileCount } } }'
    return (await holdall.ask(query, { id: lab.id })).workspace.usage
  }
  const before = await usage()
  const upload = await createUpload(holdall, {
    workspaceId: lab.id,
    path: 'a22',
    name: 'x.bin',
    size: 4,
  })
  await sendBytes(holdall, upload, 'ab')
  expect(await pathsUnder('a22/')).toEqual([])
  expect(await usage()).toEqual({
    fileCount: before.fileCount,
    reservedBytes: before.reservedBytes + 4,
  })
  const early = await attempt(holdall, 'confirmUpload', { uploadId: upload.id }, 'file { id }')
  expect(early).toMatchObject({ code: 'UPLOAD_INCOMPLETE' })
  await sendBytes(holdall, upload, 'cd', 2)
  const file = await confirmUpload(holdall, { uploadId: upload.id })
  expect((await confirmUpload(holdall, { uploadId: upload.id })).id).toBe(file.id)
  expect(await pathsUnder('a22/')).toEqual(['a22/x.bin'])
  expect(await usage()).toEqual({
    fileCount: before.fileCount + 1,
    reservedBytes: before.reservedBytes,
  })
})

test('seed A23: after an interruption only the rest is sent, and sizes above 4 GiB are accepted', async () => {
  const bytes = Buffer.alloc(1_000_000, 'genome')
  const upload = await createUpload(holdall, {
    workspaceId: lab.id,
    path: 'bam',
    name: 'large_genome.bam',
    size: bytes.length,
  })
  await sendBytes(holdall, upload, bytes.subarray(0, 500_000))
  const head = await holdall.http(upload.url, {
    method: 'HEAD',
    headers: { 'tus-resumable': '1.0.0' },
  })
  expect(head.headers.get('upload-offset')).toBe('500000')
  await sendBytes(holdall, upload, bytes.subarray(500_000), 500_000)
  expect((await confirmUpload(holdall, { uploadId: upload.id })).sha256).toBe(sha256(bytes))
  const giant = await createUpload(holdall, {
    workspaceId: lab.id,
    name: 'giant.bam',
    size: 5 * 2 ** 30,
  })
  const response = await holdall.http(giant.url, {
    method: 'HEAD',
    headers: { 'tus-resumable': '1.0.0' },
  })
  expect(response.headers.get('upload-length')).toBe(String(5 * 2 ** 30))
})

test('seed A24: the declared type is a hint, the bytes decide', async () => {
  const png = Buffer.from('89504e470d0a1a0a0000000d49484452', 'hex')
  const input = { workspaceId: lab.id, name: 'picture.dat', bytes: png, mediaType: 'text/html' }
  expect(await uploadFile(holdall, input)).toMatchObject({ mediaType: 'image/png', kind: 'IMAGE' })
})

test('seed A25: the upload URL requires its token, and cannot be guessed', async () => {
  const { url } = await createUpload(holdall, { workspaceId: lab.id, name: 'a25', size: 1 })
  const head = (token: string | null) =>
    holdall.http(url, { method: 'HEAD', headers: { 'tus-resumable': '1.0.0' }, token })
  const { token } = await invite(holdall, lab.id)
  expect([
    (await head(null)).status,
    (await head(token)).status,
    (await head(holdall.token)).status,
  ]).toEqual([401, 404, 200])
  expect(url.split('/').at(-1)).toMatch(/^[0-9a-f]{32}\.k[0-9a-f]{8}\.[\w-]{22}$/)
})
