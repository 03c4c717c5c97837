import { createHash } from 'node:crypto'
import { afterAll, beforeAll, beforeEach, expect, test } from 'vitest'
import {
  act,
  attempt,
  confirmUpload,
  createFolder,
  createUpload,
  createWorkspace,
  downloadUrl,
  entryByPath,
  items,
  sendBytes,
  uploadFile,
  type WorkspaceHandle,
} from '../../support/client.ts'
import { startTestServer, type TestServer } from '../../support/servers/test-server.ts'

// The rows of the third seed that are use cases and good practice.

let holdall: TestServer
let lab: WorkspaceHandle
beforeAll(async () => {
  holdall = await startTestServer()
})
afterAll(() => holdall[Symbol.asyncDispose]())
beforeEach(async () => {
  lab = await createWorkspace(holdall, { name: 'Lab' })
})

const put = (name: string, more: object = {}) =>
  uploadFile(holdall, { workspaceId: lab.id, name, bytes: name, ...more })
const inLab = async (selection: string) =>
  (
    await holdall.ask(`query ($id: ID!) { workspace(by: { id: $id }) { ${selection} } }`, {
      id: lab.id,
    })
  ).workspace
const fieldsOf = async (id: string, selection: string) =>
  (await holdall.ask(`query ($id: ID!) { node(id: $id) { ${selection} } }`, { id })).node
const link = async (id: string, field: string) =>
  (await fieldsOf(id, `... on Folder { ${field} { url } }`))[field].url
const bytesOf = async (url: string, headers = {}) =>
  Buffer.from(await (await holdall.http(url, { token: null, headers })).arrayBuffer())

test('seed C47: the id of a file is permanent', async () => {
  const { id } = await put('results.csv')
  const protocol = await put('protocol.md', { metadata: { data: id } })
  const { metadata } = await fieldsOf(protocol.id, '... on File { metadata }')
  await act(holdall, 'updateEntry', { entry: { id }, name: 'renamed.csv' }, 'entry { id }')
  expect((await holdall.http(`/download/${metadata.data}`)).status).toBe(200)
})

const sampleTree = [
  'Protocols/Published',
  'Protocols/Drafts',
  'Data/Raw',
  'Data/Processed',
  'Images/Microscopy',
  'Images/Gels',
  'Documents/Papers',
  'Documents/Presentations',
]

test('seed C48: the sample tree is created in one request, repeatably', async () => {
  const fields = sampleTree.map(
    (name, i) =>
      `f${i}: createFolder(input: { workspaceId: $id, name: "${name}", createParents: true, onConflict: REUSE }) { ... on CreateFolderPayload { folder { id path } } ... on UserError { code } }`,
  )
  const createTree = () =>
    holdall.ask(`mutation ($id: ID!) { ${fields.join(' ')} }`, { id: lab.id })
  const first = await createTree()
  expect(Object.values(first).map((made: any) => made.folder.path)).toEqual(sampleTree)
  expect(await createTree()).toEqual(first)
  expect((await inLab('usage { folderCount }')).usage).toEqual({ folderCount: 12 })
})

test('seed C49: many files are tagged at once, and found by the tag', async () => {
  const files = [await put('a.csv'), await put('b.csv'), await put('c.csv')]
  await act(holdall, 'tagEntries', { entries: items(...files), add: ['run-7'] }, 'succeeded')
  const { entries } = await inLab('entries(filter: { tags: { anyOf: ["RUN-7"] } }) { totalCount }')
  expect(entries).toEqual({ totalCount: 3 })
})

test('seed C50: words, types and dates together', async () => {
  await put('scan.csv')
  await put('scan.png')
  const soon = new Date(Date.now() + 60_000).toISOString()
  const search = async (filter: string) =>
    (await inLab(`search(query: "scan", filter: { ${filter} }) { nodes { name } }`)).search.nodes
  expect(await search(`kinds: [SPREADSHEET], createdAt: { lt: "${soon}" }`)).toEqual([
    { name: 'scan.csv' },
  ])
  expect(await search(`createdAt: { gte: "${soon}" }`)).toEqual([])
})

test('seed C51: a batch of uploads, each with its own result', async () => {
  const uploads = ['one.txt', 'two.txt', 'bad/name'].map((name) => ({
    workspaceId: lab.id,
    path: 'batch',
    name,
    size: 3,
    tags: ['batch'],
  }))
  const made = await act(
    holdall,
    'createUploads',
    { uploads, mode: 'BEST_EFFORT' },
    'results { upload { id url headers { name value } } error { code } } succeeded failed',
  )
  expect([made.succeeded, made.failed, made.results[2].error.code]).toEqual([2, 1, 'INVALID_INPUT'])
  const ids = []
  for (const { upload } of made.results.slice(0, 2)) {
    await sendBytes(holdall, upload, 'abc')
    ids.push({ uploadId: upload.id })
  }
  const done = await act(
    holdall,
    'confirmUploads',
    { uploads: ids },
    'results { file { path tags { name } } } succeeded',
  )
  expect(done.results.map(({ file }: any) => file)).toEqual([
    { path: 'batch/one.txt', tags: [{ name: 'batch' }] },
    { path: 'batch/two.txt', tags: [{ name: 'batch' }] },
  ])
})

test('seed C52: a manifest lists everything', async () => {
  await put('plate.csv', { path: 'run', tags: ['t'], description: 'd', metadata: { k: 1 } })
  const run = await entryByPath(holdall, lab.id, 'run')
  const url = await link(run?.id ?? '', 'archiveUrl')
  const manifest = (await bytesOf(manifestOf(url))).toString()
  for (const part of ['plate.csv', createHash('sha256').update('plate.csv').digest('hex')])
    expect(manifest).toContain(part)
  expect((await bytesOf(`${manifestOf(url)}?format=csv`)).toString()).toContain('plate.csv')
})

/** The manifest alone is beside the archive. */
const manifestOf = (url: string) => url.replace(/[^/]*$/, 'manifest')

test('seed C53: an archive keeps the tree, knows its length, and resumes', async () => {
  await put('a.bin', { path: 'run/raw', bytes: Buffer.alloc(50_000, 'a') })
  await put('b.bin', { path: 'run', bytes: Buffer.alloc(50_000, 'b') })
  const url = await link((await entryByPath(holdall, lab.id, 'run'))?.id ?? '', 'archiveUrl')
  const head = await holdall.http(url, { method: 'HEAD', token: null })
  const whole = await bytesOf(url)
  expect(head.headers.get('content-length')).toBe(String(whole.length))
  const etag = head.headers.get('etag') ?? ''
  const rest = await bytesOf(url, { range: 'bytes=60000-', 'if-range': etag })
  expect(rest.equals(whole.subarray(60_000))).toBe(true)
  expect(whole.includes('raw/a.bin')).toBe(true)
})

test('seed C54: an exported archive can be imported', async () => {
  await put('plate.csv', { path: 'run/raw', tags: ['t'], description: 'd' })
  const url = await link((await entryByPath(holdall, lab.id, 'run'))?.id ?? '', 'archiveUrl')
  const bytes = await bytesOf(url)
  const backup = { workspaceId: lab.id, name: 'backup.zip', size: bytes.length }
  const upload = await createUpload(holdall, backup)
  await sendBytes(holdall, upload, bytes)
  const destination = await createFolder(holdall, { workspaceId: lab.id, name: 'restored' })
  await act(
    holdall,
    'importArchive',
    { uploadId: upload.id, folder: { id: destination.id } },
    'entryCount folder { path }',
  )
  const { entries } = await inLab(
    'entries(filter: { pathPrefix: "restored/", type: FILE }) { nodes { path description tags { name } } }',
  )
  expect(entries.nodes).toEqual([
    { path: expect.stringMatching(/raw\/plate\.csv$/), description: 'd', tags: [{ name: 't' }] },
  ])
})

test('seed C55: versions have numbers, a history, and links of their own', async () => {
  const first = await put('data.csv', { bytes: 'one' })
  const second = await put('data.csv', { bytes: 'two', onConflict: 'NEW_VERSION' })
  expect(second.id).toBe(first.id)
  const { versions } = await fieldsOf(
    first.id,
    '... on File { versions { nodes { number isCurrent downloadUrl { url } } } }',
  )
  expect(versions.nodes.map(({ number, isCurrent }: any) => [number, isCurrent])).toEqual([
    [2, true],
    [1, false],
  ])
  expect((await bytesOf(versions.nodes[1].downloadUrl.url)).toString()).toBe('one')
})

test('seed C56: an old version can be restored', async () => {
  const first = await put('data.csv', { bytes: 'one' })
  await put('data.csv', { bytes: 'two', onConflict: 'NEW_VERSION' })
  const { file } = await act(
    holdall,
    'restoreVersion',
    { versionId: first.version.id },
    'file { version { number } size }',
  )
  expect(file.version.number).toBe(3)
  expect((await bytesOf(await downloadUrl(holdall, first.id))).toString()).toBe('one')
})

test('seed C68: large files come in chunks', async () => {
  const bytes = Buffer.alloc(300_000, 'chunk')
  const { upload } = await act(
    holdall,
    'createUpload',
    { workspaceId: lab.id, name: 'c68', size: bytes.length },
    'upload { id url status headers { name value } }',
  )
  for (let at = 0; at < bytes.length; at += 100_000)
    await sendBytes(holdall, upload, bytes.subarray(at, at + 100_000), at)
  expect((await confirmUpload(holdall, { uploadId: upload.id })).size).toBe(bytes.length)
})

test('seed C81: duplicates are grouped, the largest waste first', async () => {
  for (const name of ['a', 'b', 'c']) await put(name, { bytes: 'same bytes' })
  for (const name of ['d', 'e']) await put(name, { bytes: 'x' })
  const { duplicates } = await inLab(
    'duplicates { nodes { size wastedBytes files { nodes { name } } } }',
  )
  expect(duplicates.nodes).toEqual([
    { size: 10, wastedBytes: 20, files: { nodes: [{ name: 'a' }, { name: 'b' }, { name: 'c' }] } },
    { size: 1, wastedBytes: 1, files: { nodes: [{ name: 'd' }, { name: 'e' }] } },
  ])
})

test('seed C83: the figures of a workspace are exact', async () => {
  await act(
    holdall,
    'updateWorkspace',
    { workspaceId: lab.id, quotaBytes: 1000 },
    'workspace { id }',
  )
  await put('a.csv', { bytes: 'aaaa' })
  await put('a.csv', { bytes: 'bb', onConflict: 'NEW_VERSION' })
  await attempt(
    holdall,
    'createUpload',
    { workspaceId: lab.id, name: 'x', size: 100 },
    'upload { id }',
  )
  const { usage } = await inLab(
    'usage { currentBytes olderVersionBytes reservedBytes storedBytes remainingBytes fileCount byKind { kind bytes } }',
  )
  expect(usage).toEqual({
    currentBytes: 2,
    olderVersionBytes: 4,
    reservedBytes: 100,
    storedBytes: 6,
    remainingBytes: 894,
    fileCount: 1,
    byKind: [{ kind: 'SPREADSHEET', bytes: 2 }],
  })
})

test('seed C87: downloads are logged with user, file and time', async () => {
  const { id } = await put('secret.csv')
  await (await holdall.http(`/download/${id}`)).text()
  const read = async () =>
    (
      await inLab(
        `activity(filter: { actions: [FILE_DOWNLOADED], entryId: "${id}" }) { nodes { actor { name } token { name } at } }`,
      )
    ).activity.nodes
  await expect
    .poll(read, { timeout: 3000 })
    .toEqual([{ actor: { name: 'Owner' }, token: { name: 'First token' }, at: expect.any(String) }])
})

test('seed C88: a client can query the upload URL and the maximum size', async () => {
  const { serverInfo } = await holdall.ask('{ serverInfo { tusUrl tusExtensions maxUploadBytes } }')
  expect(serverInfo).toMatchObject({
    tusUrl: `${holdall.url}/uploads`,
    maxUploadBytes: 5 * 1024 ** 4,
  })
  expect(serverInfo.tusExtensions).toContain('creation')
})

test('seed C92: unchanged files are not sent again', async () => {
  const { id } = await put('cached.png')
  const url = await downloadUrl(holdall, id)
  const etag = (await holdall.http(url, { token: null })).headers.get('etag') ?? ''
  const again = await holdall.http(url, { token: null, headers: { 'if-none-match': etag } })
  expect([again.status, again.headers.get('cache-control')]).toEqual([
    304,
    expect.stringContaining('immutable'),
  ])
})

test('seed C93: a large download streams at the pace of its reader', async () => {
  const { id } = await put('large.bin', { bytes: Buffer.alloc(64 * 1024 * 1024, 'x') })
  const response = await holdall.http(await downloadUrl(holdall, id), { token: null })
  const reader = response.body?.getReader()
  await reader?.read()
  const before = process.memoryUsage().rss
  await new Promise((resolve) => setTimeout(resolve, 500))
  expect(process.memoryUsage().rss - before).toBeLessThan(32 * 1024 * 1024)
  await reader?.cancel()
})

test('seed C94: a download resumes where it broke, and never mixes two versions', async () => {
  const { id } = await put('grows.txt', { bytes: 'first version' })
  const first = await holdall.http(`/download/${id}`)
  const etag = first.headers.get('etag') ?? ''
  const resume = () =>
    holdall.http(`/download/${id}`, { headers: { range: 'bytes=6-', 'if-range': etag } })
  expect(await (await resume()).text()).toBe('version')
  await put('grows.txt', { bytes: 'second one', onConflict: 'NEW_VERSION' })
  const changed = await resume()
  expect([changed.status, await changed.text()]).toEqual([200, 'second one'])
})
