import { expect, test } from 'vitest'
import {
  act,
  attempt,
  createFolder,
  createUpload,
  entryByPath,
  trashEntries,
  uploadFile,
} from '../../support/client.ts'
import { metadata, openTus } from '../../support/network/tus.ts'
import { uploadWithTusJs } from '../../support/network/tus-js.ts'

// What a tus client must not take for success, nor repeat in vain.

type Tus = Awaited<ReturnType<typeof openTus>>
const length = { 'Upload-Length': '5' }

const codeOf = async (response: Response) => ((await response.json()) as { code: string }).code

/** Creates an upload with confirm: auto, runs `meanwhile`, and sends its last byte. */
async function sendLast(
  tus: Tus,
  declared: Record<string, string>,
  meanwhile: () => Promise<unknown>,
) {
  const { workspaceId } = tus
  const url = await tus.create({ workspaceId, filename: 'a', confirm: 'auto', ...declared }, length)
  await meanwhile()
  const last = await tus.patch(url, 0, 'hello')
  return { status: last.status, code: await codeOf(last), head: (await tus.head(url)).status }
}

test('of two clients that upload to one name, the second one hears of the conflict', async () => {
  await using tus = await openTus()
  const { holdall, workspaceId } = tus
  const fields = { workspaceId, filename: 'race.txt', confirm: 'auto' }
  const results = await Promise.all(
    ['one', 'two'].map((text) => uploadWithTusJs(holdall, Buffer.from(text), fields)),
  )
  expect(results.map(({ error }) => error === null).sort()).toEqual([false, true])
  const refused = results.find(({ error }) => error !== null)
  expect(refused?.error).toMatch(/422.*NAME_CONFLICT/)
  // It neither asked again nor sent its bytes again.
  expect(refused?.requests.filter((request) => request.startsWith('PATCH'))).toHaveLength(1)
  expect(refused?.requests.filter((request) => request.startsWith('HEAD'))).toEqual([])
})

test('a taken name at POST /uploads is 422, which tus clients do not repeat', async () => {
  await using tus = await openTus()
  const { holdall, workspaceId } = tus
  await uploadFile(holdall, { workspaceId, name: 'a', bytes: 'x' })
  const declared = { 'Upload-Metadata': metadata({ workspaceId, filename: 'a' }) }
  const refused = await tus.post({ ...length, ...declared })
  expect([refused.status, await codeOf(refused)]).toEqual([422, 'NAME_CONFLICT'])
})

test('a full quota at POST /uploads is 422; a form and the API answer as before', async () => {
  await using tus = await openTus()
  const { holdall, workspaceId } = tus
  await act(holdall, 'updateWorkspace', { workspaceId, quotaBytes: 3 }, 'workspace { id }')
  const refused = await tus.post({ ...length, 'Upload-Metadata': metadata({ workspaceId }) })
  expect([refused.status, await codeOf(refused)]).toEqual([422, 'QUOTA_EXCEEDED'])
  const form = new FormData()
  form.set('workspaceId', workspaceId)
  form.set('file', new Blob(['hello']), 'a.txt')
  expect((await holdall.http('/files', { method: 'POST', body: form })).status).toBe(507)
})

test('a name that was taken before the last byte', async () => {
  await using tus = await openTus()
  const { holdall, workspaceId } = tus
  const take = () => uploadFile(holdall, { workspaceId, name: 'a', bytes: 'x' })
  expect(await sendLast(tus, {}, take)).toEqual({ status: 422, code: 'NAME_CONFLICT', head: 410 })
})

test('a folder that was trashed before the last byte', async () => {
  await using tus = await openTus()
  const { holdall, workspaceId } = tus
  const folder = await createFolder(holdall, { workspaceId, name: 'in' })
  const result = await sendLast(tus, { folderId: folder.id }, () => trashEntries(holdall, folder))
  expect(result).toEqual({ status: 422, code: 'INVALID_STATE', head: 410 })
})

test('a wrong offset stays 409', async () => {
  await using tus = await openTus()
  const url = await tus.create({ workspaceId: tus.workspaceId }, length)
  const refused = await tus.patch(url, 3, 'lo')
  expect([refused.status, await codeOf(refused)]).toEqual([409, 'OFFSET_MISMATCH'])
})

test.each(['trashed', 'purged'])('a file that was %s can be uploaded again', async (how) => {
  await using tus = await openTus()
  const { holdall, workspaceId } = tus
  const fields = { workspaceId, filename: 'again.txt', confirm: 'auto' }
  const first = await uploadWithTusJs(holdall, Buffer.from('same bytes'), fields)
  const file = await entryByPath(holdall, workspaceId, 'again.txt')
  await trashEntries(holdall, { id: file?.id ?? '' })
  if (how === 'purged') await act(holdall, 'emptyTrash', { workspaceId }, 'purgedCount')
  const path = new URL(first.url).pathname
  expect([(await tus.head(path)).status, (await tus.patch(path, 10, '')).status]).toEqual([
    410, 410,
  ])
  const second = await uploadWithTusJs(holdall, Buffer.from('same bytes'), fields, first.url)
  expect([second.error, second.url === first.url]).toEqual([null, false])
  expect(await entryByPath(holdall, workspaceId, 'again.txt')).not.toMatchObject({ id: file?.id })
})

test('a file in a folder that was trashed can be uploaded again', async () => {
  await using tus = await openTus()
  const { holdall, workspaceId } = tus
  const folder = await createFolder(holdall, { workspaceId, name: 'in' })
  const fields = { workspaceId, folderId: folder.id, filename: 'a', confirm: 'auto' }
  const url = await tus.create(fields, length)
  expect((await tus.patch(url, 0, 'hello')).status).toBe(204)
  await trashEntries(holdall, folder)
  expect((await tus.head(url)).status).toBe(410)
  expect((await tus.head(url, {}, null)).status).toBe(401)
})

test('GET of an upload URL: 405 before, then 303 to the bytes, 410 once the file is gone', async () => {
  await using tus = await openTus()
  const { holdall, workspaceId } = tus
  const url = await tus.create({ workspaceId, filename: 'a.txt', confirm: 'auto' }, length)
  const get = (token?: null) =>
    holdall.http(url, { redirect: 'manual', ...(token === null && { token }) })
  const early = await get()
  expect([early.status, early.headers.get('allow')]).toEqual([405, 'HEAD, PATCH, DELETE, OPTIONS'])
  await tus.patch(url, 0, 'hello')
  expect((await get(null)).status).toBe(401)
  const found = await get()
  expect(found.status).toBe(303)
  const bytes = await fetch(found.headers.get('location') ?? '')
  expect(await bytes.text()).toBe('hello')
  const file = await entryByPath(holdall, workspaceId, 'a.txt')
  await trashEntries(holdall, { id: file?.id ?? '' })
  expect((await get()).status).toBe(410)
})

test('confirmUpload of the API keeps its own errors', async () => {
  await using tus = await openTus()
  const { holdall, workspaceId } = tus
  const upload = await createUpload(holdall, { workspaceId, name: 'a', size: 0 })
  await uploadFile(holdall, { workspaceId, name: 'a', bytes: 'x' })
  const refused = await attempt(holdall, 'confirmUpload', { uploadId: upload.id }, 'file { id }')
  expect(refused).toMatchObject({ __typename: 'NameConflictError' })
})
