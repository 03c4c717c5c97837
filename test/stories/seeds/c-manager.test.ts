import { createHash } from 'node:crypto'
import { afterAll, beforeAll, beforeEach, expect, test } from 'vitest'
import {
  act,
  attempt,
  batchDone,
  children,
  createFolder,
  createUpload,
  createWorkspace,
  download,
  downloadUrl,
  entryByPath,
  items,
  sendBytes,
  trashEntries,
  uploadFile,
  type WorkspaceHandle,
} from '../../support/client.ts'
import { invite } from '../../support/data/people.ts'
import { expectRefused } from '../../support/data/refusals.ts'
import { postForm } from '../../support/network/forms.ts'
import { startTestServer, type TestServer } from '../../support/servers/test-server.ts'

// The rows of the third seed about single files and folders; c-cases.test.ts has the use cases.

let holdall: TestServer
let lab: WorkspaceHandle
let now = Date.now()
beforeAll(async () => {
  holdall = await startTestServer({ now: () => now })
})
afterAll(() => holdall[Symbol.asyncDispose]())
beforeEach(async () => {
  lab = await createWorkspace(holdall, { name: 'Lab' })
})

const put = (path: string, more: object = {}) => {
  const slash = path.lastIndexOf('/')
  const folder = path.slice(0, Math.max(slash, 0))
  const name = path.slice(slash + 1)
  return uploadFile(holdall, { workspaceId: lab.id, path: folder, name, bytes: path, ...more })
}
const inLab = async (selection: string, as = {}) =>
  (
    await holdall.ask(
      `query ($id: ID!) { workspace(by: { id: $id }) { ${selection} } }`,
      { id: lab.id },
      as,
    )
  ).workspace
const fieldsOf = async ({ id }: { id: string }, selection: string) =>
  (await holdall.ask(`query ($id: ID!) { node(id: $id) { ${selection} } }`, { id })).node
const found = async (query: string, more = '', fields = 'path') => {
  const { search } = await inLab(
    `search(query: ${JSON.stringify(query)} ${more}) { totalCount nodes { ${fields} } }`,
  )
  return search.nodes.map((node: { path: string }) => (fields === 'path' ? node.path : node)).sort()
}
const names = async (args: string) =>
  (await children(holdall, lab.root.id, args)).map(({ name }) => name)

test('seed C1: search in a workspace shows what the caller may read', async () => {
  await put('microscopy.txt')
  const { token } = await invite(holdall, (await createWorkspace(holdall)).id)
  expect(await found('microscopy')).toEqual(['microscopy.txt'])
  expect(await inLab('search(query: "microscopy") { totalCount }', { token })).toBeNull()
})

test('seed C2: words over names and metadata, phrases and exclusions', async () => {
  await put('plateScan_2025-01.csv')
  await put('other.txt', {
    description: 'The plate was scanned',
    tags: ['Café'],
    metadata: { strain: 'BL21' },
  })
  expect(await found('plate')).toEqual(['other.txt', 'plateScan_2025-01.csv'])
  expect(await found('plate -scanned')).toEqual(['plateScan_2025-01.csv'])
  expect(await found('"plate was"')).toEqual(['other.txt'])
  expect(await found('cafe')).toEqual(['other.txt'])
  expect(await found('bl21')).toEqual(['other.txt'])
  expect(await found('2025 sca')).toEqual(['plateScan_2025-01.csv'])
})

test('seed C3: files, folders, or both', async () => {
  await put('gels/gels.png')
  expect(await found('gels')).toEqual(['gels', 'gels/gels.png'])
  expect(await found('gels', 'filter: { type: FILE }')).toEqual(['gels/gels.png'])
  expect(await found('gels', 'filter: { type: FOLDER }')).toEqual(['gels'])
})

test('seed C4: within a folder only; a foreign folder does not exist', async () => {
  await put('one/data.csv')
  await put('two/data.csv')
  const one = await entryByPath(holdall, lab.id, 'one')
  expect(await found('data', `filter: { within: "${one?.id}" }`)).toEqual(['one/data.csv'])
  const other = await createWorkspace(holdall)
  await expect(found('data', `filter: { within: "${other.root.id}" }`)).rejects.toThrow(
    'no object with the id',
  )
})

test('seed C5: 20 at once, at most 100', async () => {
  for (let i = 0; i < 21; i++) await createFolder(holdall, { workspaceId: lab.id, name: `f${i}` })
  expect(await children(holdall, lab.root.id, 'filter: {}')).toHaveLength(20)
  await expect(children(holdall, lab.root.id, 'first: 101')).rejects.toThrow('1 to 100')
})

test('seed C6: pages stay consistent during inserts', async () => {
  for (const name of ['a', 'c', 'e']) await createFolder(holdall, { workspaceId: lab.id, name })
  const page = (args: string) =>
    fieldsOf(
      lab.root,
      `... on Folder { children(${args}) { nodes { name } pageInfo { endCursor } } }`,
    )
  const { children: first } = await page('first: 2')
  await createFolder(holdall, { workspaceId: lab.id, name: 'b' })
  const { children: second } = await page(`first: 2, after: "${first.pageInfo.endCursor}"`)
  expect(second.nodes).toEqual([{ name: 'e' }])
})

test('seed C7 C8 C9: a result has id, name, size, type and dates', async () => {
  await put('c7.csv')
  const fields = '__typename id name createdAt updatedAt ... on File { size mediaType kind }'
  const [file] = await found('c7', '', fields)
  expect(file).toMatchObject({
    __typename: 'File',
    name: 'c7.csv',
    size: 6,
    mediaType: 'text/csv',
    kind: 'SPREADSHEET',
  })
  expect(file.createdAt).toBe(new Date(now).toISOString())
})

test('seed C10: the path is always the current one', async () => {
  const file = await put('old/inner/c10.txt')
  const old = await entryByPath(holdall, lab.id, 'old')
  await act(holdall, 'updateEntry', { entry: { id: old?.id }, name: 'new' }, 'entry { id }')
  expect(await fieldsOf(file, '... on File { path }')).toEqual({ path: 'new/inner/c10.txt' })
})

test('seed C11: a file has a download link, a folder does not', async () => {
  const file = await put('c11.txt')
  expect((await download(holdall, file.id)).toString()).toBe('c11.txt')
  const { errors } = await holdall.graphql(
    'query ($id: ID!) { node(id: $id) { ... on Folder { downloadUrl { url } } } }',
    { id: lab.root.id },
  )
  expect(errors?.[0]?.message).toContain('Cannot query field')
})

test('seed C12: the root needs no id', async () => {
  await put('c12.txt')
  expect(await inLab('root { path children { nodes { name } } }')).toEqual({
    root: { path: '', children: { nodes: [{ name: 'c12.txt' }] } },
  })
})

test('seed C13: by name, size, creation and change; folders first; the size of a folder is its total', async () => {
  await put('big/heavy.bin', { bytes: Buffer.alloc(500) })
  now += 1000
  await put('a.txt', { bytes: 'aa' })
  now += 1000
  await put('b.txt', { bytes: 'b' })
  expect(await names('orderBy: {}')).toEqual(['big', 'a.txt', 'b.txt'])
  expect(await names('orderBy: { field: SIZE, foldersFirst: false }')).toEqual([
    'b.txt',
    'a.txt',
    'big',
  ])
  expect(
    await names('orderBy: { field: CREATED_AT, direction: DESC, foldersFirst: false }'),
  ).toEqual(['b.txt', 'a.txt', 'big'])
  await act(
    holdall,
    'updateEntry',
    { entry: { id: (await entryByPath(holdall, lab.id, 'a.txt'))?.id }, description: 'new' },
    'entry { id }',
  )
  now += 1000
  expect((await names('orderBy: { field: UPDATED_AT, foldersFirst: false }')).at(0)).toBe('big')
})

test('seed C14: up and down', async () => {
  for (const name of ['x', 'y', 'z']) await createFolder(holdall, { workspaceId: lab.id, name })
  expect(await names('orderBy: { direction: DESC }')).toEqual(['z', 'y', 'x'])
})

test('seed C15: a listing is paged like a search', async () => {
  await expect(children(holdall, lab.root.id, 'first: 0')).rejects.toThrow('1 to 100')
})

test('seed C16 C17 C18 C19 C20: the form requires a file; root, name, description and tags are optional', async () => {
  expect((await postForm(holdall, { workspaceId: lab.id, name: 'x' })).status).toBe(400)
  const file = { name: 'data.xlsx', bytes: 'x' }
  const more = {
    folderId: 'root',
    name: 'trial 3.xlsx',
    description: 'Trial #3',
    tags: 'experiment, Data,,data, 2025',
  }
  const { body } = await postForm(holdall, { file, workspaceId: lab.id, ...more })
  const made = await fieldsOf(body, '... on File { path description tags { name } }')
  expect(made).toEqual({
    path: 'trial 3.xlsx',
    description: 'Trial #3',
    tags: [{ name: '2025' }, { name: 'Data' }, { name: 'experiment' }],
  })
})

test('seed C21 C22: the status is PROCESSING or COMPLETE, with the metadata beside it', async () => {
  const upload = await createUpload(holdall, { workspaceId: lab.id, name: 'c21.txt', size: 2 })
  await sendBytes(holdall, upload, 'ab')
  const { upload: done } = await act(
    holdall,
    'confirmUpload',
    { uploadId: upload.id },
    'upload { status file { status name size } }',
  )
  expect(done).toEqual({
    status: 'COMPLETE',
    file: { status: 'COMPLETE', name: 'c21.txt', size: 2 },
  })
})

test('seed C23: failures are reported', async () => {
  const sha256 = createHash('sha256').update('other').digest('hex')
  const upload = await createUpload(holdall, {
    workspaceId: lab.id,
    name: 'c23.txt',
    size: 2,
    sha256,
  })
  await sendBytes(holdall, upload, 'ab')
  expect(
    await attempt(holdall, 'confirmUpload', { uploadId: upload.id }, 'file { id }'),
  ).toMatchObject({ code: 'CHECKSUM_MISMATCH' })
  const fields = await fieldsOf(
    upload,
    '... on Upload { status failures { code message retryable at } }',
  )
  expect(fields).toMatchObject({
    status: 'FAILED',
    failures: [{ code: 'CHECKSUM_MISMATCH', retryable: false }],
  })
})

test('seed C24: downloads have the right headers', async () => {
  const { id } = await put('page.html', { bytes: '<script>alert(1)</script>' })
  const response = await holdall.http(await downloadUrl(holdall, id, '(disposition: INLINE)'), {
    token: null,
  })
  expect(response.headers.get('content-disposition')).toMatch(/^attachment/)
  expect(response.headers.get('x-content-type-options')).toBe('nosniff')
  expect([response.headers.get('accept-ranges'), response.headers.get('content-length')]).toEqual([
    'bytes',
    '25',
  ])
  expect(response.headers.get('etag')).toMatch(/^"[0-9a-f]{64}"$/)
})

test('seed C25 C26 C27 C28 C29 C30 C31: everything about a file except its bytes', async () => {
  const file = await put('deep/er/c25.txt', { description: 'about', tags: ['t'] })
  const about = await fieldsOf(
    file,
    `... on File { name size mediaType createdAt createdBy { id name } description tags { name } path
      parent { path } workspace { id viewerRole } ancestors { path } downloadUrl { url } sharing { visibility links { id } } }`,
  )
  expect(about).toMatchObject({
    name: 'c25.txt',
    size: 15,
    mediaType: 'text/plain',
    createdBy: { name: 'Owner' },
    description: 'about',
    tags: [{ name: 't' }],
    path: 'deep/er/c25.txt',
    parent: { path: 'deep/er' },
    workspace: { id: lab.id, viewerRole: 'OWNER' },
    ancestors: [{ path: '' }, { path: 'deep' }, { path: 'deep/er' }],
    sharing: { visibility: 'PRIVATE', links: [] },
  })
  expect(about.downloadUrl.url).toContain('/download/')
})

test('seed C32: a rename reports conflicts and stale revisions', async () => {
  const file = await put('c32.txt')
  await put('taken.txt')
  const rename = (more: object) =>
    attempt(holdall, 'updateEntry', { entry: { id: file.id }, ...more }, 'entry { name revision }')
  expect(await rename({ name: 'taken.txt' })).toMatchObject({ code: 'NAME_CONFLICT' })
  expect(await rename({ name: 'x.txt', expectedRevision: file.revision + 1 })).toMatchObject({
    code: 'STALE_REVISION',
  })
  expect((await rename({ name: 'x.txt', expectedRevision: file.revision })).entry).toMatchObject({
    name: 'x.txt',
  })
})

test('seed C33: null clears a description, an absent field keeps it', async () => {
  const file = await put('c33.txt', { description: 'first' })
  const change = async (more: object) =>
    (
      await act(
        holdall,
        'updateEntry',
        { entry: { id: file.id }, ...more },
        'entry { description }',
      )
    ).entry
  expect(await change({ tags: ['x'] })).toEqual({ description: 'first' })
  expect(await change({ description: null })).toEqual({ description: null })
})

test('seed C34: tags are replaced, or added and removed', async () => {
  const file = await put('c34.txt', { tags: ['a', 'b'] })
  const replaced = await act(
    holdall,
    'updateEntry',
    { entry: { id: file.id }, tags: ['c'] },
    'entry { tags { name } }',
  )
  expect(replaced.entry.tags).toEqual([{ name: 'c' }])
  await Promise.all(
    ['d', 'e', 'f'].map((tag) =>
      batchDone(holdall, 'tagEntries', { entries: items(file), add: [tag] }),
    ),
  )
  await batchDone(holdall, 'tagEntries', { entries: items(file), remove: ['C'] })
  expect(await fieldsOf(file, '... on File { tags { name } }')).toEqual({
    tags: [{ name: 'd' }, { name: 'e' }, { name: 'f' }],
  })
})

test('seed C35: an entry moves, but not into itself', async () => {
  const file = await put('from/c35.txt')
  const to = await createFolder(holdall, { workspaceId: lab.id, name: 'to' })
  await batchDone(holdall, 'moveEntries', { entries: items(file), folder: { id: to.id } })
  expect(await fieldsOf(file, '... on File { path }')).toEqual({ path: 'to/c35.txt' })
  const below = { entries: items(to), folder: { id: to.id } }
  expect(await expectRefused(holdall, 'moveEntries', below)).toMatchObject({ code: 'CYCLE' })
})

test('seed C36 C37 C38: deleted entries are trashed, kept for the retention period, and restored', async () => {
  const file = await put('folder/c36.txt')
  await trashEntries(holdall, file)
  expect([await entryByPath(holdall, lab.id, 'folder/c36.txt'), await found('c36')]).toEqual([
    null,
    [],
  ])
  const { trash, usage } = await inLab(
    'trash { nodes { name trash { originalPath purgeAt } } } usage { trashedBytes }',
  )
  const purgeAt = new Date(now + 30 * 86_400_000).toISOString()
  expect(trash.nodes).toEqual([
    { name: 'c36.txt', trash: { originalPath: 'folder/c36.txt', purgeAt } },
  ])
  expect(usage).toEqual({ trashedBytes: 14 })
  await put('folder/c36.txt')
  await batchDone(holdall, 'restoreEntries', { entries: [{ entry: { id: file.id } }] })
  expect(await fieldsOf(file, '... on File { path }')).toEqual({ path: 'folder/c36 (2).txt' })
})

test('seed C39 C40 C41: a folder has a unique name, a parent and a description', async () => {
  const folder = await createFolder(holdall, {
    workspaceId: lab.id,
    name: '2025 Experiments',
    description: 'All of it',
  })
  expect(await fieldsOf(folder, '... on Folder { path description }')).toEqual({
    path: '2025 Experiments',
    description: 'All of it',
  })
  const again = (more: object) =>
    attempt(
      holdall,
      'createFolder',
      { workspaceId: lab.id, name: '2025 experiments', ...more },
      'folder { id }',
    )
  expect(await again({})).toMatchObject({ code: 'NAME_CONFLICT' })
  expect((await again({ onConflict: 'REUSE' })).folder.id).toBe(folder.id)
  expect(await again({ name: '' })).toMatchObject({ code: 'INVALID_INPUT', path: ['name'] })
})

test('seed C42 C43: a folder is renamed and described, and all paths change at once', async () => {
  const file = await put('a/b/c/c42.txt')
  const a = await entryByPath(holdall, lab.id, 'a')
  const change = { entry: { id: a?.id }, name: 'z', description: 'new' }
  expect((await act(holdall, 'updateEntry', change, 'entry { path description }')).entry).toEqual({
    path: 'z',
    description: 'new',
  })
  expect(await entryByPath(holdall, lab.id, 'z/b/c/c42.txt')).toMatchObject({ id: file.id })
})

test('seed C44: without recursive a folder with content is not trashed', async () => {
  await put('full/c44.txt')
  const full = await entryByPath(holdall, lab.id, 'full')
  const input = { entries: items({ id: full?.id ?? '' }) }
  expect(await expectRefused(holdall, 'trashEntries', input)).toMatchObject({
    code: 'NOT_EMPTY',
    entryCount: 1,
  })
  expect(await entryByPath(holdall, lab.id, 'full/c44.txt')).not.toBeNull()
})

test('seed C45 C46: recursive trashes the tree in one step, and one restore restores it exactly', async () => {
  const file = await put('tree/branch/c45.txt', { tags: ['leaf'] })
  const tree = await entryByPath(holdall, lab.id, 'tree')
  await trashEntries(holdall, { id: tree?.id ?? '' })
  expect((await inLab('trash { totalCount }')).trash).toEqual({ totalCount: 1 })
  await batchDone(holdall, 'restoreEntries', { entries: [{ entry: { id: tree?.id } }] })
  expect(await fieldsOf(file, '... on File { id path tags { name } }')).toEqual({
    id: file.id,
    path: 'tree/branch/c45.txt',
    tags: [{ name: 'leaf' }],
  })
})

const types = {
  C57: [['a.xlsx', 'b.xls', 'c.csv', 'd.tsv'], 'SPREADSHEET'],
  C58: [['a.rds', 'b.rdata', 'c.sav', 'd.dta'], 'DATA'],
  C59: [['b.json', 'c.xml'], 'DATA'],
  C60: [['a.jpg', 'b.jpeg', 'c.png', 'd.gif', 'e.bmp', 'f.tif', 'g.tiff'], 'IMAGE'],
  C61: [['a.czi', 'b.nd2', 'c.lsm'], 'IMAGE'],
  C62: [['a.pdf', 'b.docx', 'c.doc', 'd.pptx', 'e.ppt'], 'DOCUMENT'],
  C63: [['a.py', 'b.ipynb', 'c.r', 'd.rmd', 'e.sh', 'f.bash'], 'CODE'],
  C64: [['a.mp4', 'b.avi', 'c.mov'], 'VIDEO'],
  C65: [['a.zip', 'b.tar.gz', 'c.7z'], 'ARCHIVE'],
} as const
for (const [row, [files, kind]] of Object.entries(types)) {
  test(`seed ${row}: ${files.join(' ')} are ${kind}`, async () => {
    for (const name of files) {
      const file = await put(name, { bytes: Buffer.from([1, 2, 3]) })
      expect([name, file.kind]).toEqual([name, kind])
      expect(file.mediaType).not.toBe('application/octet-stream')
    }
  })
}

test('seed C69 C70 C71 C72 C74: each invalid request has its own error', async () => {
  const wrong = await holdall.graphql('query { node(id: 5, x: 1) { id } }')
  expect(wrong.status).toBe(400)
  const anonymous = await holdall.http('/uploads', {
    method: 'POST',
    token: null,
    headers: { 'tus-resumable': '1.0.0', 'upload-length': '1' },
  })
  expect([anonymous.status, anonymous.headers.get('www-authenticate')]).toEqual([401, 'Bearer'])
  const unknown = await (await holdall.http('/download/x', { token: 'hld_unknown' })).text()
  const { token } = await invite(holdall, lab.id, 'VIEWER')
  const viewer = await attempt(
    holdall,
    'createFolder',
    { workspaceId: lab.id, name: 'x' },
    'folder { id }',
    { token },
  )
  expect([viewer.code, unknown.includes('UNAUTHENTICATED')]).toEqual(['FORBIDDEN', true])
  const foreign = await attempt(
    holdall,
    'createFolder',
    { workspaceId: `ws_${'0'.repeat(32)}`, name: 'x' },
    'folder { id }',
  )
  expect(foreign.code).toBe('NOT_FOUND')
  const invalid = await attempt(
    holdall,
    'createFolder',
    { workspaceId: lab.id, name: 'a/b' },
    'folder { id }',
  )
  expect(invalid).toMatchObject({ code: 'INVALID_INPUT', path: ['name'] })
})

test('seed C67 C73: the maximum file size is reported, and larger files are refused at every endpoint', async () => {
  await using small = await startTestServer({ env: { MAX_UPLOAD_BYTES: '10' } })
  const { id: workspaceId } = await createWorkspace(small)
  expect(await small.ask('{ serverInfo { maxUploadBytes } }')).toEqual({
    serverInfo: { maxUploadBytes: 10 },
  })
  const refused = await attempt(
    small,
    'createUpload',
    { workspaceId, name: 'x', size: 11 },
    'upload { id }',
  )
  expect(refused).toMatchObject({ code: 'FILE_TOO_LARGE' })
  const headers = {
    'tus-resumable': '1.0.0',
    'upload-length': '11',
    'upload-metadata': `workspaceId ${btoa(workspaceId)}`,
  }
  expect((await small.http('/uploads', { method: 'POST', headers })).status).toBe(413)
})

test('seed C75: too many requests get 429 with Retry-After', async () => {
  await using limited = await startTestServer({ env: { RATE_LIMIT: '100', MAX_QUERY_COST: '100' } })
  const answers = []
  for (let i = 0; i < 101; i++) answers.push(await limited.graphql('{ viewer { user { name } } }'))
  const refused = answers.find(({ status }) => status === 429)
  expect(refused?.headers.get('retry-after')).toMatch(/^\d+$/)
  expect(refused?.errors?.[0]?.extensions?.code).toBe('RATE_LIMITED')
})

test('seed C76: a full workspace refuses new bytes, and reads and deletes go on', async () => {
  const file = await put('c76.txt')
  await act(holdall, 'updateWorkspace', { workspaceId: lab.id, quotaBytes: 10 }, 'workspace { id }')
  const refused = await attempt(
    holdall,
    'createUpload',
    { workspaceId: lab.id, name: 'x', size: 5 },
    'upload { id }',
  )
  expect(refused).toMatchObject({ code: 'QUOTA_EXCEEDED' })
  const headers = {
    'tus-resumable': '1.0.0',
    'upload-length': '5',
    'upload-metadata': `workspaceId ${btoa(lab.id)}`,
  }
  expect((await holdall.http('/uploads', { method: 'POST', headers })).status).toBe(422)
  expect((await download(holdall, file.id)).toString()).toBe('c76.txt')
  await trashEntries(holdall, file)
})
