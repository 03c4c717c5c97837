import { describe, expect, onTestFinished, test } from 'vitest'
import {
  attempt,
  children,
  confirmUpload,
  createFolder,
  createUpload,
  createWorkspace,
  entryByPath,
  lookUp,
  sendBytes,
  totalsOf,
  trashEntries,
  uploadFile,
} from '../../support/client.ts'
import { invite } from '../../support/data/people.ts'
import { postForm } from '../../support/network/forms.ts'
import { metadata, tusOf } from '../../support/network/tus.ts'
import { startTestServer, type TestServer } from '../../support/servers/test-server.ts'

// What browsers and Uppy send with each file of a folder that was dropped or chosen.

async function open(workspace: object = {}) {
  const holdall = await startTestServer()
  onTestFinished(() => holdall[Symbol.asyncDispose]())
  const { id: workspaceId, root } = await createWorkspace(holdall, { ...workspace })
  return { holdall, workspaceId, root }
}
type Here = Awaited<ReturnType<typeof open>>
type Fields = { relativePath: string } & Record<string, string>

/** Creates the upload of five bytes as a tus client. Returns the response. */
const createTus = ({ holdall, workspaceId }: Here, fields: Fields, token = holdall.token) =>
  holdall.http('/uploads', {
    method: 'POST',
    token,
    headers: {
      'Tus-Resumable': '1.0.0',
      'Upload-Length': '5',
      'Upload-Metadata': metadata({ workspaceId, confirm: 'auto', ...fields }),
    },
  })

async function uploadTus(here: Here, fields: Fields): Promise<string> {
  const created = await createTus(here, fields)
  if (created.status !== 201) throw new Error(await created.text())
  const patched = await tusOf(here.holdall).patch(created.headers.get('location') ?? '', 0, 'hello')
  const id = patched.headers.get('holdall-file-id') ?? ''
  return (await lookUp(here.holdall, { id }, 'path')).path
}

/** The three ways to upload; each creates a file and returns its path. */
const ways: Record<string, (here: Here, name: string, fields: Fields) => Promise<string>> = {
  createUpload: async ({ holdall, workspaceId }, name, fields) =>
    (await uploadFile(holdall, { workspaceId, name, bytes: 'hello', ...fields })).path,
  'plain tus': (here, filename, fields) => uploadTus(here, { filename, ...fields }),
  'POST /files': async ({ holdall, workspaceId }, name, fields) =>
    (await postForm(holdall, { workspaceId, ...fields, file: { name, bytes: 'hello' } })).body.path,
}

const paths: [string, Fields, string][] = [
  ['of a browser', { relativePath: 'photos/2025/a.jpg' }, 'photos/2025/a.jpg'],
  ['of Uppy', { relativePath: '/photos/2025/a.jpg' }, 'photos/2025/a.jpg'],
  ['of Windows', { relativePath: 'photos\\2025\\a.jpg' }, 'photos/2025/a.jpg'],
  ['with empty parts', { relativePath: '//photos///./2025/\\a.jpg' }, 'photos/2025/a.jpg'],
  ['with another last part', { relativePath: 'photos/IMG_1.jpg' }, 'photos/a.jpg'],
  ['that ends with a slash', { relativePath: 'photos/2025/' }, 'photos/2025/a.jpg'],
  ['of a single file', { relativePath: 'a.jpg' }, 'a.jpg'],
  ['of a single file in Uppy', { relativePath: 'null' }, 'a.jpg'],
  ['that is undefined', { relativePath: 'undefined' }, 'a.jpg'],
  ['of nothing', { relativePath: '/' }, 'a.jpg'],
  ['below a path', { relativePath: 'photos/a.jpg', path: 'raw/2025/' }, 'raw/2025/photos/a.jpg'],
  ['in NFD', { relativePath: 'e\u0301te\u0301/a.jpg' }, 'e\u0301te\u0301/a.jpg'],
]

test.each(Object.keys(ways))('%s: a relativePath makes the folders of the file', async (way) => {
  const here = await open()
  for (const [kind, fields, path] of paths) {
    const file = await ways[way]?.(here, 'a.jpg', { ...fields, onConflict: 'REPLACE' })
    expect([kind, file]).toEqual([kind, path])
  }
})

test.each(Object.keys(ways))('%s: a relativePath applies below folderId', async (way) => {
  const here = await open()
  const { id: folderId } = await createFolder(here.holdall, {
    workspaceId: here.workspaceId,
    name: 'Drop',
  })
  const fields = { relativePath: 'a/b/c.txt', folderId }
  expect(await ways[way]?.(here, 'c.txt', fields)).toBe('Drop/a/b/c.txt')
})

test.each(Object.keys(ways))('%s: an existing folder is used, in any spelling', async (way) => {
  const here = await open()
  const { holdall, workspaceId, root } = here
  await createFolder(holdall, { workspaceId, name: 'Été' })
  const file = await ways[way]?.(here, 'a.txt', { relativePath: 'e\u0301te\u0301/new/a.txt' })
  expect(file).toBe('Été/new/a.txt')
  expect(await ways[way]?.(here, 'b.txt', { relativePath: 'ÉTÉ/NEW/b.txt' })).toBe('Été/new/b.txt')
  expect(await totalsOf(holdall, root)).toMatchObject({ folderCount: 2, fileCount: 2 })
})

test('without a filename the last part is the name', async () => {
  const here = await open()
  expect(await uploadTus(here, { relativePath: '/photos/a b.jpg' })).toBe('photos/a b.jpg')
  const { body } = await postForm(here.holdall, {
    workspaceId: here.workspaceId,
    relativePath: 'docs/read.me',
    name: '',
    file: { name: 'x', bytes: 'x' },
  })
  expect(body.path).toBe('docs/x')
})

test('autoFile applies to single files only, not to those of a folder', async () => {
  const here = await open({ autoFile: true })
  expect(await uploadTus(here, { relativePath: 'a.png' })).toBe('drive/image/a.png')
  expect(await uploadTus(here, { relativePath: '/trip/a.png' })).toBe('trip/a.png')
})

test('a new version stays where its file is', async () => {
  const here = await open()
  const { holdall, workspaceId } = here
  const file = await uploadFile(holdall, { workspaceId, name: 'a.txt', bytes: 'old' })
  const path = await uploadTus(here, { relativePath: 'x/y/b.txt', versionOf: file.id })
  expect(path).toBe('a.txt')
  expect(await entryByPath(holdall, workspaceId, 'x')).toBeNull()
})

describe('refuses, before any byte is sent,', () => {
  const deep = `${'d/'.repeat(65)}a.txt`
  const cases: [string, string][] = [
    ['..', '../a.txt'],
    ['.. between folders', 'a/../b/a.txt'],
    ['.. on Windows', 'a\\..\\..\\a.txt'],
    ['.. at the end', 'a/..'],
    ['control characters', 'a\u0000b/a.txt'],
    ['line breaks', 'a\r\nb/a.txt'],
    ['bidirectional marks', 'a\u202eb/a.txt'],
    ['a blank folder', 'a/ /a.txt'],
    ['a long name', `${'n'.repeat(256)}/a.txt`],
    ['many combining marks', `e${'\u0301'.repeat(33)}/a.txt`],
    ['too many levels', deep],
    ['a long path', `${'n'.repeat(250)}/`.repeat(10)],
    ['an endless path', 'a/'.repeat(5500)],
  ]
  test.each(cases)('%s', async (_, relativePath) => {
    const here = await open()
    const { holdall, workspaceId, root } = here
    const input = { workspaceId, name: 'a.txt', size: 5, relativePath }
    const { code, path } = await attempt(holdall, 'createUpload', input, 'upload { id }')
    expect([code, path]).toEqual(['INVALID_INPUT', [expect.stringMatching(/^(relativeP|p)ath$/)]])
    const { status } = await createTus(here, { relativePath, filename: 'a.txt' })
    expect(status).toBe(400)
    const form = { workspaceId, relativePath, file: { name: 'a.txt', bytes: 'hello' } }
    // A FormData sends line breaks as CR LF and drops nothing else.
    expect((await postForm(holdall, form)).status).toBe(400)
    expect(await children(holdall, root.id)).toEqual([])
  })

  test('levels that the target folder leaves no room for', async () => {
    const here = await open()
    const { holdall, workspaceId } = here
    const name = 'd/'.repeat(60)
    const { id: folderId } = await createFolder(holdall, { workspaceId, name, createParents: true })
    const create = (levels: number) =>
      createTus(here, { folderId, relativePath: `${'e/'.repeat(levels)}a.txt` })
    expect((await create(4)).status).toBe(201)
    const refused = await create(5)
    expect([refused.status, await refused.json()]).toMatchObject([400, { code: 'INVALID_INPUT' }])
  })

  test('a folder with the name of a file: NAME_CONFLICT', async () => {
    const here = await open()
    const { holdall, workspaceId } = here
    const file = await uploadFile(holdall, { workspaceId, name: 'Trip', bytes: 'x' })
    const input = { workspaceId, name: 'a.jpg', size: 5, relativePath: 'trip/2025/a.jpg' }
    const selection = 'upload { id }'
    for (const onConflict of ['FAIL', 'RENAME', 'NEW_VERSION', 'REPLACE']) {
      const refused = await attempt(holdall, 'createUpload', { ...input, onConflict }, selection)
      expect(refused).toMatchObject({ code: 'NAME_CONFLICT', path: ['path'] })
    }
    const { workspace } = await holdall.ask(
      'query ($id: ID!) { workspace(by: { id: $id }) { entries { nodes { id } } } }',
      { id: workspaceId },
    )
    expect(workspace.entries.nodes).toEqual([{ id: file.id }])
  })

  test('a viewer', async () => {
    const here = await open()
    const viewer = await invite(here.holdall, here.workspaceId, 'VIEWER')
    const { status } = await createTus(here, { relativePath: 'a/b.txt' }, viewer.token)
    expect(status).toBe(403)
  })
})

test('a file that took the name of a folder since the upload began is a NAME_CONFLICT', async () => {
  const { holdall, workspaceId } = await open()
  const input = { workspaceId, name: 'a.jpg', size: 5, relativePath: 'trip/a.jpg' }
  const upload = await createUpload(holdall, input)
  await sendBytes(holdall, upload, 'hello')
  const file = await uploadFile(holdall, { workspaceId, name: 'trip', bytes: 'x' })
  const refused = await attempt(holdall, 'confirmUpload', { uploadId: upload.id }, 'file { path }')
  expect(refused).toMatchObject({ code: 'NAME_CONFLICT', path: ['path'] })
  await trashEntries(holdall, file)
  expect((await confirmUpload(holdall, { uploadId: upload.id })).path).toBe('trip/a.jpg')
})

test('folders are created with the file: an upload that is not confirmed leaves none', async () => {
  const { holdall, workspaceId, root } = await open()
  const input = { workspaceId, name: 'a.jpg', size: 5, relativePath: 'trip/2025/a.jpg' }
  const upload = await createUpload(holdall, input)
  await sendBytes(holdall, upload, 'hello')
  expect(await children(holdall, root.id)).toEqual([])
  await confirmUpload(holdall, { uploadId: upload.id })
  expect(await totalsOf(holdall, root)).toEqual({ bytes: 5, fileCount: 1, folderCount: 2 })
})

test.each(Object.keys(ways))('%s: 20 parallel uploads create each folder once', async (way) => {
  const here = await open()
  const { holdall, root } = here
  const names = Array.from({ length: 20 }, (_, i) => `${i}.txt`)
  const files = await Promise.all(
    names.map((name) => ways[way]?.(here, name, { relativePath: `/a/b/c/${name}` })),
  )
  expect(files.sort()).toEqual(names.map((name) => `a/b/c/${name}`).sort())
  expect(await totalsOf(holdall, root)).toEqual({ bytes: 100, fileCount: 20, folderCount: 3 })
  expect(await activities(holdall, here.workspaceId)).toBe(3)
})

async function activities(holdall: TestServer, workspaceId: string): Promise<number> {
  const { workspace } = await holdall.ask(
    `query ($id: ID!) { workspace(by: { id: $id }) {
      activity(first: 100, filter: { actions: [FOLDER_CREATED] }) { totalCount } } }`,
    { id: workspaceId },
  )
  return workspace.activity.totalCount
}
