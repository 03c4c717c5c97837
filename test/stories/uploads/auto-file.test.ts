import { expect, test } from 'vitest'
import {
  act,
  createFolder,
  createWorkspace,
  entryByPath,
  lookUp,
  uploadFile,
} from '../../support/client.ts'
import { postForm } from '../../support/network/forms.ts'
import { tusOf } from '../../support/network/tus.ts'
import { startTestServer } from '../../support/servers/test-server.ts'

async function open(workspace: Record<string, unknown> = { autoFile: true }) {
  const holdall = await startTestServer()
  const { id: workspaceId } = await createWorkspace(holdall, workspace)
  return { holdall, workspaceId, [Symbol.asyncDispose]: () => holdall[Symbol.asyncDispose]() }
}
type Here = Awaited<ReturnType<typeof open>>

/** The three ways to upload; each creates a file without naming a folder, and returns its path. */
const ways: Record<string, (here: Here, name: string) => Promise<string>> = {
  createUpload: async ({ holdall, workspaceId }, name) =>
    (await uploadFile(holdall, { workspaceId, name, bytes: name })).path,
  'plain tus': async ({ holdall, workspaceId }, name) => {
    const declared = { workspaceId, filename: name, confirm: 'auto' }
    const tus = tusOf(holdall)
    const url = await tus.create(declared, { 'Upload-Length': String(Buffer.byteLength(name)) })
    const id = (await tus.patch(url, 0, name)).headers.get('holdall-file-id') ?? ''
    return (await lookUp(holdall, { id }, 'path')).path
  },
  'POST /files': async ({ holdall, workspaceId }, name) =>
    (await postForm(holdall, { file: { name, bytes: name }, workspaceId })).body.path,
}

/** B1 to B5: the last extension decides, ignoring case. */
const places: Record<string, string[]> = {
  'drive/image': ['a.jpg', 'b.png', 'c.jpeg', 'D.JPG', 'e.tar.png'],
  'drive/audio': ['a.mp3', 'b.wav', 'C.WAV'],
  'drive/video': ['a.mp4', 'b.wmv', 'c.avi', 'D.Mp4'],
  'drive/others': [
    'a.txt',
    'b.tar.gz',
    'none',
    'dot.',
    'x.jpg.exe',
    '.png',
    'f.gif',
    'g.mov',
    'h.flac',
    'i.constructor',
    'png',
  ],
}

test.each(Object.keys(ways))(
  '%s: files without a folder go to the folder of their kind',
  async (way) => {
    await using here = await open()
    for (const [folder, names] of Object.entries(places)) {
      for (const name of names) expect(await ways[way]?.(here, name)).toBe(`${folder}/${name}`)
    }
    const drive = await entryByPath(here.holdall, here.workspaceId, 'drive')
    const count = Object.values(places).flat().length
    expect(
      await lookUp(
        here.holdall,
        { id: drive?.id ?? '' },
        '... on Folder { totals { fileCount folderCount } }',
      ),
    ).toMatchObject({
      totals: { fileCount: count, folderCount: 4 },
    })
  },
)

test.each(Object.keys(ways))('%s: without autoFile they go to the root', async (way) => {
  await using here = await open({})
  expect(await ways[way]?.(here, 'a.png')).toBe('a.png')
})

test('a named folder is used', async () => {
  await using here = await open()
  const { holdall, workspaceId } = here
  const box = await createFolder(holdall, { workspaceId, name: 'Box' })
  const file = { workspaceId, name: 'a.png', bytes: 'x' }
  expect((await uploadFile(holdall, { ...file, path: 'raw' })).path).toBe('raw/a.png')
  expect((await uploadFile(holdall, { ...file, folderId: box.id })).path).toBe('Box/a.png')
})

test('autoFile applies from the moment it is switched on', async () => {
  await using here = await open({})
  const { holdall, workspaceId } = here
  await act(holdall, 'updateWorkspace', { workspaceId, autoFile: true }, '__typename')
  expect((await uploadFile(holdall, { workspaceId, name: 'a.mp3', bytes: 'x' })).path).toBe(
    'drive/audio/a.mp3',
  )
})

test('the folder follows the name, the kind follows the bytes', async () => {
  await using here = await open()
  const { holdall, workspaceId } = here
  const png = Buffer.from(
    '89504e470d0a1a0a0000000d49484452000000010000000108060000001f15c489',
    'hex',
  )
  const { body } = await postForm(holdall, { file: { name: 'x.jpg.exe', bytes: png }, workspaceId })
  expect(body).toMatchObject({ path: 'drive/others/x.jpg.exe', kind: 'IMAGE' })
})
