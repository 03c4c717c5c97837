import { beforeEach, describe, expect, onTestFinished, test } from 'vitest'
import {
  act,
  batchDone,
  confirmUpload,
  createFolder,
  createUpload,
  createWorkspace,
  download,
  type FileHandle,
  items,
  lookUp,
  sendBytes,
  totalsOf,
  trashEntries,
  uploadFile,
  usageOf,
} from '../../support/client.ts'
import { expectRefused } from '../../support/data/refusals.ts'
import { startTestServer, type TestServer } from '../../support/servers/test-server.ts'

let holdall: TestServer
let workspaceId: string
let root: { id: string }

beforeEach(async () => {
  holdall = await startTestServer()
  onTestFinished(() => holdall[Symbol.asyncDispose]())
  ;({ id: workspaceId, root } = await createWorkspace(holdall))
})

const upload = (bytes: string, more: object = {}) =>
  uploadFile(holdall, { workspaceId, name: 'data.csv', bytes, onConflict: 'NEW_VERSION', ...more })
/** A file of three versions: one, two!, three. */
async function three(): Promise<FileHandle> {
  for (const bytes of ['one', 'two!']) await upload(bytes)
  return upload('three')
}
type Version = {
  id: string
  number: number
  size: number
  comment: string | null
  isCurrent: boolean
}
async function versionsOf({ id }: { id: string }): Promise<Version[]> {
  const fields = 'versions { nodes { id number size comment isCurrent } }'
  return (await lookUp(holdall, { id }, `... on File { ${fields} }`)).versions.nodes
}
const versionId = async (file: { id: string }, number: number) =>
  (await versionsOf(file)).find((version) => version.number === number)?.id
async function bytesOf(id: string | undefined): Promise<string> {
  const query = 'query ($id: ID!) { node(id: $id) { ... on FileVersion { downloadUrl { url } } } }'
  const { node } = await holdall.ask(query, { id })
  const response = await holdall.http(node.downloadUrl.url, { token: null })
  return response.status === 200 ? response.text() : `${response.status}`
}
const restore = async (input: object) =>
  act(
    holdall,
    'restoreVersion',
    { ...input },
    'file { id size revision } version { id number comment }',
  )
const remove = (id: string | undefined) =>
  act(holdall, 'deleteVersion', { versionId: id }, 'versionId file { revision }')
const weights = async () => {
  const { currentBytes, olderVersionBytes, trashedBytes, storedBytes } = await usageOf(
    holdall,
    workspaceId,
  )
  return [currentBytes, olderVersionBytes, trashedBytes, storedBytes]
}

test('an upload over a name is the next version of the existing file', async () => {
  const first = await upload('one')
  const second = await upload('two!', { name: 'DATA.csv' })
  expect(second).toMatchObject({ id: first.id, name: 'data.csv', size: 4, revision: 2 })
  expect(second.version).toMatchObject({ number: 2 })
  expect(await versionsOf(first)).toEqual([
    { id: second.version.id, number: 2, size: 4, comment: null, isCurrent: true },
    { id: first.version.id, number: 1, size: 3, comment: null, isCurrent: false },
  ])
  expect((await download(holdall, first.id)).toString()).toBe('two!')
  expect(await weights()).toEqual([4, 3, 0, 7])
})

test('an upload with versionOf becomes a version wherever the file has moved, with a comment', async () => {
  const file = await upload('one')
  const more = { versionOf: file.id, size: 4, name: 'another name.txt', workspaceId }
  const open = await createUpload(holdall, more)
  const to = await createFolder(holdall, { workspaceId, name: 'to' })
  const destination = { id: to.id }
  await batchDone(holdall, 'moveEntries', { entries: items(file), folder: destination })
  await sendBytes(holdall, open, 'two!')
  const again = await confirmUpload(holdall, { uploadId: open.id, comment: 'measured again' })
  expect(again).toMatchObject({ id: file.id, name: 'data.csv', path: 'to/data.csv', size: 4 })
  expect((await versionsOf(file))[0]).toMatchObject({ number: 2, comment: 'measured again' })
})

test('a version has its own properties and bytes', async () => {
  const file = await three()
  const id = await versionId(file, 1)
  const query = `query ($id: ID!) { node(id: $id) { ... on FileVersion {
    id number size mediaType sha256 isCurrent createdAt createdBy { name } file { id name } } } }`
  expect((await holdall.ask(query, { id })).node).toMatchObject({
    id,
    number: 1,
    size: 3,
    mediaType: 'text/csv',
    isCurrent: false,
    file: { id: file.id, name: 'data.csv' },
  })
  const all = await versionsOf(file)
  expect(await Promise.all(all.map((version) => bytesOf(version.id)))).toEqual([
    'three',
    'two!',
    'one',
  ])
})

test('versions are listed in pages, newest first', async () => {
  const file = await three()
  const page = async (args: string) => {
    const fields = `... on File { versions(${args}) { nodes { number } totalCount
      pageInfo { hasNextPage endCursor } } }`
    return (await lookUp(holdall, file, fields)).versions
  }
  const first = await page('first: 2')
  expect(first).toMatchObject({
    nodes: [{ number: 3 }, { number: 2 }],
    totalCount: 3,
    pageInfo: { hasNextPage: true },
  })
  const second = await page(`first: 2, after: "${first.pageInfo.endCursor}"`)
  expect(second).toMatchObject({ nodes: [{ number: 1 }], pageInfo: { hasNextPage: false } })
})

test('F13: fifty versions confirmed concurrently are fifty versions of one file', async () => {
  const file = await upload('first')
  const opened = await Promise.all(
    Array.from({ length: 50 }, (_, i) =>
      createUpload(holdall, { workspaceId, versionOf: file.id, name: 'x', size: `${i}`.length }),
    ),
  )
  await Promise.all(opened.map((open, i) => sendBytes(holdall, open, `${i}`)))
  await Promise.all(opened.map(({ id }) => confirmUpload(holdall, { uploadId: id })))
  const rows = await holdall.app.db.selectFrom('versions').select('number').execute()
  expect(rows.map(({ number }) => number).sort((a, b) => a - b)).toEqual(
    Array.from({ length: 51 }, (_, i) => i + 1),
  )
  expect(await lookUp(holdall, file, 'revision')).toMatchObject({ revision: 51 })
  const [current, older] = await weights()
  expect((current ?? 0) + (older ?? 0)).toBe(5 + 10 + 40 * 2)
})

describe('restoreVersion', () => {
  test('makes an old version the newest; the history stays', async () => {
    const file = await three()
    const { version, file: restored } = await restore({
      versionId: await versionId(file, 1),
      comment: 'back to the start',
    })
    expect(restored).toEqual({ id: file.id, size: 3, revision: 4 })
    expect(version).toMatchObject({ number: 4, comment: 'back to the start' })
    expect((await versionsOf(file)).map(({ number, size }) => [number, size])).toEqual([
      [4, 3],
      [3, 5],
      [2, 4],
      [1, 3],
    ])
    expect((await download(holdall, file.id)).toString()).toBe('one')
    expect(await weights()).toEqual([3, 12, 0, 12])
  })

  test('restores the type and the kind of the bytes', async () => {
    const file = await upload('a,b')
    const png = Buffer.from(
      '89504e470d0a1a0a0000000d49484452000000010000000108060000001f15c489',
      'hex',
    )
    await uploadFile(holdall, { workspaceId, name: 'x', versionOf: file.id, bytes: png })
    const fields = '... on File { mediaType kind }'
    expect(await lookUp(holdall, file, fields)).toMatchObject({
      mediaType: 'image/png',
      kind: 'IMAGE',
    })
    await restore({ versionId: file.version.id })
    expect(await lookUp(holdall, file, fields)).toMatchObject({
      mediaType: 'text/csv',
      kind: 'SPREADSHEET',
    })
    expect((await usageOf(holdall, workspaceId)).byKind).toEqual([
      { kind: 'SPREADSHEET', bytes: 3, fileCount: 1 },
    ])
  })

  test('with an expectedRevision rejects a stale revision', async () => {
    const file = await three()
    const input = { versionId: await versionId(file, 1), expectedRevision: 2 }
    expect(await expectRefused(holdall, 'restoreVersion', input)).toMatchObject({
      code: 'STALE_REVISION',
      actualRevision: 3,
    })
  })

  test('requires room for the bytes', async () => {
    const file = await three()
    const quotaBytes = 14
    await act(holdall, 'updateWorkspace', { workspaceId, quotaBytes }, 'workspace { id }')
    const input = { versionId: await versionId(file, 1) }
    expect(await expectRefused(holdall, 'restoreVersion', input)).toMatchObject({
      code: 'QUOTA_EXCEEDED',
      neededBytes: 3,
    })
  })
})

describe('deleteVersion', () => {
  test('deletes an older version and its bytes', async () => {
    const file = await three()
    const id = await versionId(file, 2)
    const link = (
      await holdall.ask(
        'query ($id: ID!) { node(id: $id) { ... on FileVersion { downloadUrl { url } } } }',
        { id },
      )
    ).node.downloadUrl.url
    expect(await weights()).toEqual([5, 7, 0, 12])
    expect(await remove(id)).toMatchObject({ versionId: id, file: { revision: 4 } })
    expect((await versionsOf(file)).map(({ number }) => number)).toEqual([3, 1])
    expect(await weights()).toEqual([5, 3, 0, 8])
    expect((await holdall.http(link, { token: null })).status).toBe(404)
    expect(await totalsOf(holdall, root)).toEqual({ bytes: 5, fileCount: 1, folderCount: 0 })
  })

  test('keeps bytes that another version has, and never reuses a number', async () => {
    const file = await upload('same')
    await upload('other')
    await upload('same')
    expect(await weights()).toEqual([4, 9, 0, 9])
    await remove(file.version.id)
    expect(await weights()).toEqual([4, 5, 0, 9])
    await remove(await versionId(file, 2))
    expect(await weights()).toEqual([4, 0, 0, 4])
    expect((await download(holdall, file.id)).toString()).toBe('same')
    expect((await upload('new')).version.number).toBe(4)
  })

  test('refuses the current version', async () => {
    const file = await three()
    expect(
      await expectRefused(holdall, 'deleteVersion', { versionId: file.version.id }),
    ).toMatchObject({
      code: 'INVALID_STATE',
      state: 'CURRENT',
    })
  })
})

test('versions of a trashed file neither change nor can be downloaded', async () => {
  const file = await three()
  const old = await versionId(file, 1)
  await trashEntries(holdall, file)
  expect(await weights()).toEqual([0, 0, 12, 12])
  for (const name of ['restoreVersion', 'deleteVersion']) {
    expect(await expectRefused(holdall, name, { versionId: old })).toMatchObject({
      state: 'TRASHED',
    })
  }
  const next = { workspaceId, versionOf: file.id, name: 'x', size: 1 }
  expect(await expectRefused(holdall, 'createUpload', next)).toMatchObject({ state: 'TRASHED' })
  expect(await bytesOf(old)).toBe('404')
  await batchDone(holdall, 'restoreEntries', { entries: [{ entry: { id: file.id } }] })
  expect(await weights()).toEqual([5, 7, 0, 12])
  expect(await bytesOf(old)).toBe('one')
})

test('an unknown version is not found', async () => {
  const file = await upload('one')
  for (const id of [`ver_${'0'.repeat(32)}`, file.id, 'x']) {
    for (const name of ['restoreVersion', 'deleteVersion']) {
      expect(await expectRefused(holdall, name, { versionId: id })).toMatchObject({
        code: 'NOT_FOUND',
        id,
      })
    }
  }
})
