import { beforeEach, expect, onTestFinished, test } from 'vitest'
import {
  act,
  attempt,
  createFolder,
  createWorkspace,
  entryByPath,
  items,
  lookUp,
  uploadFile,
} from '../../support/client.ts'
import { expectRefused } from '../../support/data/refusals.ts'
import { postForm } from '../../support/network/forms.ts'
import { metadata, tusOf } from '../../support/network/tus.ts'
import { startTestServer, type TestServer } from '../../support/servers/test-server.ts'

let holdall: TestServer
let workspaceId: string

beforeEach(async () => {
  holdall = await startTestServer()
  onTestFinished(() => holdall[Symbol.asyncDispose]())
  ;({ id: workspaceId } = await createWorkspace(holdall))
})

const run = (marks: number) => `a${'\u0301\u0323'.repeat(20).slice(0, marks)}`
/** 16 of these are 16 marks, and in NFC 32. */
const withDoublingMarks = (marks: number) => `a${'\u0344'.repeat(marks)}`
const tooMany = {
  code: 'INVALID_INPUT',
  message: expect.stringMatching(/at most 32 combining marks/),
}

test('a name has at most 32 combining marks in a row, in every operation', async () => {
  const { id } = await createFolder(holdall, { workspaceId, name: run(32) })
  await createFolder(holdall, { workspaceId, name: withDoublingMarks(16) })
  for (const name of [run(33), withDoublingMarks(17)]) {
    const wrong = { ...tooMany, path: ['name'] }
    expect(await expectRefused(holdall, 'createFolder', { workspaceId, name })).toMatchObject(wrong)
    expect(await expectRefused(holdall, 'updateEntry', { entry: { id }, name })).toMatchObject(
      wrong,
    )
    expect(
      await expectRefused(holdall, 'createUpload', { workspaceId, name, size: 1 }),
    ).toMatchObject(wrong)
    const form = await postForm(holdall, { workspaceId, file: { name, bytes: 'x' } })
    expect(form.body).toMatchObject(wrong)
    const tus = await tusOf(holdall).post({
      'Upload-Length': '1',
      'Upload-Metadata': metadata({ workspaceId, filename: name }),
    })
    expect(tus.status).toBe(400)
  }
})

test('so has the name of a tag', async () => {
  const { id } = await createFolder(holdall, { workspaceId, name: 'a', tags: [run(32)] })
  const more = { ...tooMany, path: ['tags'] }
  const create = { workspaceId, name: 'b', tags: [run(33)] }
  expect(await expectRefused(holdall, 'createFolder', create)).toMatchObject(more)
  expect(
    await expectRefused(holdall, 'updateEntry', { entry: { id }, tags: [run(40)] }),
  ).toMatchObject(more)
  const tagging = { entries: [{ entry: { id } }], add: [run(40)], mode: 'BEST_EFFORT' }
  const tagged = await act(holdall, 'tagEntries', tagging, 'results { error { code path } }')
  expect(tagged.results[0].error).toEqual({ code: 'INVALID_INPUT', path: ['add'] })
})

test('an entry with such a name from before keeps it, is found, renamed, copied, trashed and restored', async () => {
  const folder = await createFolder(holdall, { workspaceId, name: 'old' })
  const file = await uploadFile(holdall, {
    workspaceId,
    name: 'old.txt',
    bytes: 'x',
    folderId: folder.id,
  })
  const [name, fileName] = [run(40), `${run(40)}.txt`]
  const toNfc = (text: string) => text.normalize('NFC')
  const { db } = holdall.app
  await db
    .updateTable('entries')
    .set({ name, nameKey: toNfc(name), path: name, pathKey: `${toNfc(name)}/` })
    .where('id', '=', folder.id)
    .execute()
  await db
    .updateTable('entries')
    .set({ name: fileName, nameKey: toNfc(fileName) })
    .where('id', '=', file.id)
    .execute()
  expect(await entryByPath(holdall, workspaceId, `${name}/${fileName}`)).toMatchObject({
    id: file.id,
  })
  const destination = await createFolder(holdall, { workspaceId, name: 'copies' })
  const copying = { entries: items(folder), folder: { id: destination.id } }
  expect(await attempt(holdall, 'copyEntries', copying, 'succeeded')).toMatchObject({
    succeeded: 1,
  })
  const again = { entry: { id: file.id }, name: fileName, description: 'the same name' }
  expect(await attempt(holdall, 'updateEntry', again, 'entry { name }')).toMatchObject({
    entry: { name: fileName },
  })
  await act(holdall, 'trashEntries', { entries: items(file) }, 'succeeded')
  await act(holdall, 'trashEntries', { entries: items(folder), recursive: true }, 'succeeded')
  const restored = await act(
    holdall,
    'restoreEntries',
    { entries: [{ entry: { id: file.id } }] },
    'succeeded',
  )
  expect(restored.succeeded).toBe(1)
  expect(await entryByPath(holdall, workspaceId, `${name}/${fileName}`)).toMatchObject({
    id: file.id,
  })
  const { archiveUrl } = await lookUp(holdall, destination, '... on Folder { archiveUrl { url } }')
  expect((await holdall.http(archiveUrl.url)).status).toBe(200)
  await act(holdall, 'updateEntry', { entry: { id: file.id }, name: 'new.txt' }, 'entry { name }')
})

test('a long name from macOS is accepted if it is short enough in NFC', async () => {
  const name = '각'.repeat(85)
  expect(Buffer.byteLength(name.normalize('NFD'))).toBe(765)
  await createFolder(holdall, { workspaceId, name: name.normalize('NFD') })
  expect(await entryByPath(holdall, workspaceId, name)).toMatchObject({
    name: name.normalize('NFD'),
  })
})
