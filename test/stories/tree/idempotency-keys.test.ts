import { beforeEach, expect, onTestFinished, test } from 'vitest'
import {
  act,
  confirmUpload,
  createUpload,
  createWorkspace,
  sendBytes,
  trashEntries,
  usageOf,
} from '../../support/client.ts'
import { startTestServer, type TestServer } from '../../support/servers/test-server.ts'

let holdall: TestServer
let input: { workspaceId: string; name: string; size: number; idempotencyKey: string }
let later: number
beforeEach(async () => {
  later = 0
  holdall = await startTestServer({
    now: () => Date.now() + later,
    env: { UPLOAD_TTL_HOURS: '1' },
  })
  onTestFinished(() => holdall[Symbol.asyncDispose]())
  const { id: workspaceId } = await createWorkspace(holdall)
  input = { workspaceId, name: 'a.txt', size: 5, idempotencyKey: 'the same' }
})

const create = () => createUpload(holdall, input)
async function createInBatch(mode: string) {
  const selection = 'results { upload { id status url headers { name value } } error { code } }'
  const { results } = await act(holdall, 'createUploads', { uploads: [input], mode }, selection)
  return results[0].upload
}
const ways = {
  createUpload: create,
  'createUploads, BEST_EFFORT': () => createInBatch('BEST_EFFORT'),
  'createUploads, ALL_OR_NOTHING': () => createInBatch('ALL_OR_NOTHING'),
}

/** Creates, sends and confirms the upload. Returns its id and its file. */
async function createFile() {
  const upload = await create()
  await sendBytes(holdall, upload, 'hello')
  return { id: upload.id, file: await confirmUpload(holdall, { uploadId: upload.id }) }
}
const purge = (id: string) =>
  act(holdall, 'purgeEntries', { entries: [{ entry: { id } }] }, 'succeeded')

/** What ends the upload or its file, so that its key can only begin anew. */
const endings: Record<string, () => Promise<string>> = {
  'its file is in the trash': async () => {
    const { id, file } = await createFile()
    await trashEntries(holdall, file)
    return id
  },
  'its file was purged': async () => {
    const { id, file } = await createFile()
    await trashEntries(holdall, file)
    await purge(file.id)
    return id
  },
  'its folder is in the trash': async () => {
    Object.assign(input, { path: 'raw' })
    const { id, file } = await createFile()
    const query = 'query ($id: ID!) { node(id: $id) { ... on File { parent { id } } } }'
    const { node } = await holdall.ask(query, { id: file.id })
    await trashEntries(holdall, node.parent)
    return id
  },
  'it was canceled': async () => {
    const { id } = await create()
    await act(holdall, 'cancelUpload', { uploadId: id }, 'upload { status }')
    return id
  },
  'it has expired': async () => {
    const { id } = await create()
    later += 3_601_000
    return id
  },
}

test.each(Object.entries(endings))('an idempotencyKey begins anew if %s', async (_, end) => {
  for (const [way, createAgain] of Object.entries(ways)) {
    const ended = await end()
    const upload = await createAgain()
    expect([way, upload.id]).not.toEqual([way, ended])
    expect([way, upload.status]).toEqual([way, 'CREATED'])
    expect((await create()).id).toBe(upload.id)
    await sendBytes(holdall, upload, 'again')
    const file = await confirmUpload(holdall, { uploadId: upload.id })
    expect(file.name).toBe('a.txt')
    // The ended upload stays as it is, and its file, if any, too.
    const query = 'query ($id: ID!) { node(id: $id) { ... on Upload { status } } }'
    expect((await holdall.ask(query, { id: ended })).node.status).not.toBe('CREATED')
    await trashEntries(holdall, file)
  }
})

test('calls at once begin one upload and reserve its bytes once', async () => {
  for (const [name, end] of Object.entries(endings)) {
    const ended = await end()
    const all = Object.values(ways)
    const reserved = async () => (await usageOf(holdall, input.workspaceId)).reservedBytes
    // The job that expires uploads has not run yet, so an overdue one still reserves its bytes.
    const before = await reserved()
    const uploads = await Promise.all([...all, ...all, ...all].map((createAgain) => createAgain()))
    const ids = new Set(uploads.map(({ id }) => id))
    expect([name, ids.size, ids.has(ended)]).toEqual([name, 1, false])
    expect(await reserved()).toBe(before + 5)
    const [id = ''] = ids
    await act(holdall, 'cancelUpload', { uploadId: id }, 'upload { status }')
  }
})

test('a file that was moved, renamed or restored keeps the key', async () => {
  const { id, file } = await createFile()
  const entry = { id: file.id }
  await act(holdall, 'updateEntry', { entry, name: 'b.txt' }, 'entry { id }')
  expect((await create()).id).toBe(id)
  await trashEntries(holdall, file)
  await act(holdall, 'restoreEntries', { entries: [{ entry }] }, 'succeeded')
  expect(await create()).toMatchObject({ id, status: 'COMPLETE' })
})
